// SPDX-License-Identifier: Apache-2.0
//
// The process of a program that the host asked for, until the program takes its place.

#pragma once

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>

#include "agent-container.h"

// MARK: - In the new process

// It has the memory of the agent, which waits until the program has taken its place: the agent's variables are its own.

/// The reason why the program did not start, which the new process leaves for the agent.
static __thread struct {
    int error;
    char text[200];
} failure;

static __attribute__((noreturn)) void fail_in_child(int error, const char *what, const char *about) {
    failure.error = error;
    failure.text[0] = 0;
    append(failure.text, sizeof failure.text, what), append(failure.text, sizeof failure.text, about);
    sys_exit(127);
}

/// Lets this process make no other system calls than its filter allows.
static void set_filter(const struct agent_request *request) {
    if (!request->instruction_count) return;
    struct {
        unsigned short count;
        const struct agent_instruction *instructions;
    } program = {(unsigned short)request->instruction_count, request->instructions};
    int error = (int)CALL(seccomp, SECCOMP_SET_MODE_FILTER, request->filter_flags, &program, 0, 0);
    if (error) fail_in_child(error, "cannot set the filter of system calls", "");
}

static void set_privileges(const struct agent_request *request) {
    uint64_t ambient = request->capabilities[4];
    int is_final = (request->options & OPTION_NO_NEW_PRIVILEGES) != 0;
    // Without no_new_privs, only a process with CAP_SYS_ADMIN may set a filter: this one has it until it becomes the user.
    if (!is_final) set_filter(request);
    // The agent is this user already: each of the calls below makes a copy of all that a process may do.
    int is_other = request->has_user && (request->uid || request->gid || request->group_count);
    if (request->has_capabilities && is_other) CALL(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (is_other) {
        int error = (int)CALL(setgroups, request->group_count, request->groups, 0, 0, 0);
        if (!error) error = (int)CALL(setresgid, request->gid, request->gid, request->gid, 0, 0);
        if (!error) error = (int)CALL(setresuid, request->uid, request->uid, request->uid, 0, 0);
        if (error) fail_in_child(error, "cannot become the user", "");
    }
    if (request->has_capabilities) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2];
        for (int i = 0; i < 2; i++) {
            data[i].permitted = (uint32_t)(request->capabilities[1] >> 32 * i);
            data[i].effective = (uint32_t)(request->capabilities[2] >> 32 * i);
            data[i].inheritable = (uint32_t)(request->capabilities[3] >> 32 * i);
        }
        int error = (int)CALL(capset, &header, data, 0, 0, 0);
        if (error) fail_in_child(error, "cannot set the capabilities", "");
        if (is_other) CALL(prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
        for (int i = 0; i < 64; i++)
            if (ambient >> i & 1) CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0);
    }
    if (is_final) CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void set_folder(const char *folder) {
    int error = (int)CALL(chdir, folder, 0, 0, 0, 0);
    if (error == -ENOENT) {  // images name folders that are not there: all engines make them
        int root = open_at(HERE, "/", O_PATH, 0), made = open_target(root, folder, 1);
        error = made < 0 ? made : (int)CALL(fchdir, made, 0, 0, 0, 0);
        sys_close(root), sys_close(made);
    }
    if (error) fail_in_child(error, "cannot enter the working folder ", folder);
}

/// Becomes the program, which is looked for in PATH where its name has no slash. Returns -errno.
static int execute(const struct agent_request *request) {
    const char *name = request->arguments[0], *search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (const char *p = name; *p; p++)
        if (*p == '/') return (int)CALL(execve, name, request->arguments, request->variables, 0, 0);
    if (!*name) return -ENOENT;
    for (unsigned i = 0; i < request->variable_count; i++)
        if (starts_with(request->variables[i], "PATH=")) search = request->variables[i] + 5;
    int result = -ENOENT;
    for (const char *p = search;; p++) {
        char path[4096] = "";
        size_t n = 0;
        while (*p && *p != ':' && n < sizeof path - 2) path[n++] = *p++;
        path[n] = 0;
        append(path, sizeof path, n ? "/" : "./"), append(path, sizeof path, name);
        // execve(2) makes a whole address space before it looks for the file.
        int error = (int)CALL(access, path, 0 /* F_OK */, 0, 0, 0);
        if (!error) error = (int)CALL(execve, path, request->arguments, request->variables, 0, 0);
        // A name in a later folder may do, but what was there and could not run is what the user should hear of.
        if (error != -ENOENT && error != -ENOTDIR) result = error;
        if (error != -ENOENT && error != -ENOTDIR && error != -EACCES) return error;
        if (!*p) return result;
    }
}

/// Opens a pseudoterminal of the container's own, whose other end is `master`.
static int open_pseudoterminal(const struct agent_request *request, int *master_end) {
    int master = open_at(HERE, "/dev/ptmx", O_RDWR | O_NOCTTY, 0), unlocked = 0;
    if (master < 0) fail_in_child(master, "cannot open ", "/dev/ptmx");
    int error = sys_ioctl(master, TIOCSPTLCK, &unlocked);
    int terminal = error ? error : (int)CALL(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC, 0, 0);
    if (terminal < 0) fail_in_child(terminal, "cannot open a terminal", "");
    if (request->has_user) CALL(fchown, terminal, request->uid, 5 /* tty */, 0, 0);
    if (request->place == PLACE_NEW_CONTAINER) {
        char path[64];
        unsigned number = 0;
        sys_ioctl(master, TIOCGPTN, &number);
        int file = open_at(HERE, "/dev/console", O_WRONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY, 0600);
        if (file >= 0) sys_close(file);
        mount_on(number_path(path, sizeof path, "/dev/pts/", number, ""), "/dev/console", 0, MS_BIND, 0);
    }
    uint16_t size[4] = {request->rows, request->columns};
    if (size[0] || size[1]) sys_ioctl(master, TIOCSWINSZ, size);
    *master_end = master;
    return terminal;
}

// MARK: - The program

static __thread struct {
    int process, end;                  // its id, and a pidfd
    int mounts;                        // the mount namespace of a new container
    int streams[3];                    // its ends of pipes
    int input, output, error_output;   // this end of its streams; -1 where closed
    int is_terminal, has_input, has_exited, status;
    size_t waiting_count, taken;
    int input_ends;
    uint8_t frame[8];
    size_t frame_count;
    size_t held;                       // of `message`: bytes that go with the next ones
    uint64_t held_signals;             // bit n - 1 for signal n
    int held_for;                      // tenths of a second
    uint8_t waiting[AGENT_INPUT_WINDOW];
} program;

static __attribute__((noreturn)) void become_program(void *request_pointer) {
    const struct agent_request *request = request_pointer;
    // Nothing may use the agent's memory when that has ended.
    CALL(prctl, PR_SET_PDEATHSIG, AGENT_SIGKILL, 0, 0, 0);
    block_signals(0);
    if (request->place == PLACE_NEW_CONTAINER) enter_new_container(request);
    else if (children.process) {
        int error = (int)CALL(setns, children.file, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS, 0, 0, 0);
        if (error) fail_in_child(error, "cannot enter the container ", request->container);
    }
    CALL(setsid, 0, 0, 0, 0, 0);
    int terminal = -1;
    if (request->options & OPTION_TERMINAL) {
        terminal = open_pseudoterminal(request, &program.output);
        sys_ioctl(terminal, TIOCSCTTY, 0);
    }
    for (int fd = 0; fd < 3; fd++) CALL(dup2, terminal >= 0 ? terminal : program.streams[fd], fd, 0, 0, 0);
    if (terminal >= 0) sys_close(terminal);
    for (unsigned i = 0; i < request->limit_count; i++) {
        uint64_t limit[2] = {request->limits[i].soft, request->limits[i].hard};
        int error = (int)CALL(prlimit64, 0, request->limits[i].resource, limit, 0, 0);
        if (error) fail_in_child(error, "cannot set a resource limit", "");
    }
    if (request->folder && *request->folder && !equal(request->folder, "/")) set_folder(request->folder);
    set_privileges(request);
    if (request->has_user && request->umask <= 0777) CALL(umask, request->umask, 0, 0, 0, 0);
    // Again, because another user does not keep it: a container must not outlive the agent that reports its end.
    CALL(prctl, PR_SET_PDEATHSIG, AGENT_SIGKILL, 0, 0, 0);
    if (request->options & OPTION_NO_NEW_PRIVILEGES) set_filter(request);
    int error = execute(request);
    fail_in_child(error, "cannot run ", request->arguments[0]);
}
