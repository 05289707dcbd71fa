// SPDX-License-Identifier: Apache-2.0
//
// first-byte [--end CLEANUP SOCKET] COUNT -- COMMAND... [-- COMMAND...]...
//
// Runs the commands in turns, COUNT times each, and prints for each the time from the start of the process to the first
// byte on its standard output, or with --end to its end and, where it has made SOCKET, to the first byte that this answers to
// `GET /`: median, least and greatest, in milliseconds. `%d` in an argument, or in SOCKET, is the number of the run. CLEANUP is a
// shell command that ends what a run has left behind; what the kernel has to clean up gets a fifth of a second.

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 8, ARGUMENTS = 32, RUNS = 1000 };

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/// `text` with the number of the run for `%d`.
static const char *numbered(const char *text, int number, char *into, size_t size) {
    const char *place = strstr(text, "%d");
    if (!place) return text;
    snprintf(into, size, "%.*s%d%s", (int)(place - text), text, number, place + 2);
    return into;
}

/// Waits for the first byte of an answer; nonzero where there is a socket and none comes.
static int ask(const char *path) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (access(path, F_OK) != 0) return 0;
    if (strlen(path) >= sizeof address.sun_path) return 1;
    strcpy(address.sun_path, path);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;
    int failed = connect(connection, (struct sockaddr *)&address, sizeof address) != 0 ||
                 write(connection, request, sizeof request - 1) < 0 || read(connection, &byte, 1) != 1;
    close(connection);
    return failed;
}

/// Negative where no byte came, or the command failed.
static double run(char **command, int number, const char *cleanup, const char *socket) {
    char texts[ARGUMENTS][256], path[256];
    const char *arguments[ARGUMENTS + 1] = {0};
    for (int i = 0; command[i] && i < ARGUMENTS; i++)
        arguments[i] = numbered(command[i], number, texts[i], sizeof texts[i]);
    int output[2];
    if (pipe2(output, O_CLOEXEC) != 0) return -1;
    double start = milliseconds();
    pid_t process = vfork();
    if (process == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(output[1], 1);
        dup2(null, 2);
        execvp(arguments[0], (char **)arguments);
        _exit(127);
    }
    close(output[1]);
    int failed;
    double end;
    if (cleanup) {
        waitpid(process, &failed, 0);
        failed |= ask(numbered(socket, number, path, sizeof path));
        end = milliseconds();
        failed |= system(cleanup);
    } else {
        char byte;
        failed = read(output[0], &byte, 1) != 1;
        end = milliseconds();
        // A machine need not end by itself.
        kill(process, SIGKILL);
        waitpid(process, 0, 0);
    }
    close(output[0]);
    usleep(200000);
    return failed ? -1 : end - start;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    static double times[COMMANDS][RUNS];
    char **commands[COMMANDS];
    int is_to_end = argc > 3 && strcmp(argv[1], "--end") == 0;
    const char *cleanup = is_to_end ? argv[2] : NULL, *socket = is_to_end ? argv[3] : NULL;
    argc -= is_to_end ? 3 : 0;
    argv += is_to_end ? 3 : 0;
    int count = argc > 1 ? atoi(argv[1]) : 0, command_count = 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0) continue;
        argv[i] = 0;
        if (command_count < COMMANDS && argv[i + 1]) commands[command_count++] = argv + i + 1;
    }
    if (count < 1 || count > RUNS || command_count == 0) {
        fprintf(stderr, "usage: first-byte [--end CLEANUP SOCKET] COUNT -- COMMAND... [-- COMMAND...]...\n");
        return 64;
    }
    for (int i = 0; i < count; i++)
        for (int c = 0; c < command_count; c++) {
            times[c][i] = run(commands[c], i, cleanup, socket);
            if (times[c][i] < 0) {
                fprintf(stderr, "first-byte: %s failed, or wrote nothing\n", commands[c][0]);
                return 1;
            }
        }
    for (int c = 0; c < command_count; c++) {
        qsort(times[c], (size_t)count, sizeof(double), ascending);
        printf("%8.2f ms median  %8.2f least  %8.2f greatest  ", times[c][count / 2], times[c][0], times[c][count - 1]);
        for (char **word = commands[c]; *word; word++) printf(" %s", *word);
        printf("\n");
    }
    return 0;
}
