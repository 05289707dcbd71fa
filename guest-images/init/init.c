// SPDX-License-Identifier: Apache-2.0
//
// The first process of Martlet's default guest. It mounts what programs expect, gives one job-controlled shell on the
// console, reaps orphans, and ends the machine when that shell ends, when a program asks for it (poweroff, reboot, halt)
// and when the machine does (Ctrl-Alt-Del, power button). It works as /init of an initramfs and as /sbin/init of a disk.
//
// Freestanding, 25 KB with the agent (files.sh compiles it): on a host without hardware virtualisation starting a program
// that uses a C library costs tenths of a second, and so does every script that would do this work with busybox.
//
// Kernel command line: martlet.run="COMMAND" runs COMMAND with sh -c instead of an interactive shell; martlet.shell=off
// starts no shell at all, for a machine that only its agent (agent.h) is asked for. martlet.net=INTERFACE,ADDRESS/LENGTH
// and behind it, if wanted, ,ROUTER,NAMESERVER sets up an interface of the network.

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/errno.h>
#include <linux/input.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/reboot.h>
#include <linux/signalfd.h>
#include <linux/utsname.h>
#include <linux/wait.h>

#include "agent.h"
#include "snapshot.h"

// MARK: - System calls and messages that only init needs

static int sys_mkdir(const char *path, int mode) { return (int)CALL(mkdir, path, mode, 0, 0, 0); }
static int sys_mount(const char *what, const char *where, const char *type, unsigned long flags, const char *data) {
    return (int)CALL(mount, what, where, type, flags, data);
}
static int sys_kill(int process, int signal) { return (int)CALL(kill, process, signal, 0, 0, 0); }
static int sys_wait(int *status, int options) { return (int)CALL(wait4, -1, status, options, 0, 0); }
static int sys_poll(struct pollfd *set, unsigned count, int milliseconds) {
    return (int)CALL(poll, set, count, milliseconds, 0, 0);
}
static void sys_reboot(unsigned command) {
    CALL(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, 0, 0);
}

static const char *error_name(int error, char buffer[24]) {
    switch (-error) {
    case EPERM: return "operation not permitted";
    case ENOENT: return "no such file or directory";
    case EIO: return "input/output error";
    case ENOEXEC: return "not an executable of this machine";
    case ENOMEM: return "out of memory";
    case EACCES: return "permission denied";
    case EBUSY: return "busy";
    case ENODEV: return "not supported by this kernel";
    case ENOTDIR: return "not a directory";
    case EINVAL: return "invalid argument";
    case EROFS: return "read-only file system";
    case ELOOP: return "too many symbolic links";
    default: return decimal(error, buffer);
    }
}
static void complain(const char *what, const char *about, int error) {
    char line[256], buffer[24];
    size_t n = 0;
    for (const char *p = what; *p && n < 100; p++) line[n++] = *p;
    for (const char *p = about; *p && n < 254; p++) line[n++] = *p;
    line[n] = 0;
    say("init: ", line, ": ", error_name(error, buffer));
}

// MARK: - Signals

enum {  // numbers of the generic Linux ABI; the real-time ones are systemd's: power off, reboot
    SIG_INT = 2, SIG_USR1 = 10, SIG_USR2 = 12, SIG_TERM = 15, SIG_CHLD = 17, SIG_CONT = 18, SIG_HUP = 1, SIG_KILL = 9,
    SIG_PWR = 30, SIG_POWER_OFF = 38, SIG_REBOOT = 39,
};
#define BIT(signal) (1ull << ((signal)-1))
static const uint64_t handled_signals = BIT(SIG_INT) | BIT(SIG_USR1) | BIT(SIG_USR2) | BIT(SIG_TERM) | BIT(SIG_CHLD) |
                                        BIT(SIG_PWR) | BIT(SIG_POWER_OFF) | BIT(SIG_REBOOT);
#include "mounts.h"

#include "network.h"

#include "agent-connections.h"

// MARK: - The end

enum ending { NO_ENDING, POWER_OFF, RESTART };

/// Reaps what has ended. True when no child is left; `status` receives that of `watched`, `found` tells so.
static int reap(int watched, int *status, int *found) {
    for (;;) {
        int one, process = sys_wait(&one, WNOHANG);
        if (process == watched && process > 0) *status = one, *found = 1;
        for (unsigned i = 0; i < CONNECTIONS && process > 0; i++)
            if (slots[i].process == process) free_slot(&slots[i]);
        if (process == -ECHILD) return 1;
        if (process <= 0) return 0;
    }
}

/// What holds no data beyond the machine's life is not worth the time of unmounting it.
static int is_memory_only(const char *source) {
    static const char *const names[] = {"rootfs ", "proc ", "sysfs ", "devtmpfs ", "devpts ", "tmpfs ", "cgroup2 "};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (starts_with(source, names[i])) return 1;
    return 0;
}

/// Decodes in place what /proc/mounts writes as a backslash and three octal digits: spaces, tabs, line ends, backslashes.
static void unescape(char *text) {
    char *to = text;
    while (*text) {
        if (text[0] == '\\' && text[1] && text[2] && text[3]) {
            *to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = 0;
}

/// Unmounts what can be, last first, and leaves disks clean.
static void unmount_all(void) {
    static char text[32768];
    long n = read_text("/proc/mounts", text, sizeof text);
    for (long i = n - 1; i >= 0; i--) {
        if (i > 0 && text[i - 1] != '\n') continue;
        char *folder = text + i;  // "source folder type options"
        if (is_memory_only(folder)) continue;
        while (*folder && *folder != ' ') folder++;
        if (!*folder) continue;
        char *end = ++folder;
        while (*end && *end != ' ') end++;
        *end = 0;
        unescape(folder);
        if (equal(folder, "/")) continue;
        int error = (int)CALL(umount2, folder, 0, 0, 0, 0);
        if (error) error = sys_mount(0, folder, 0, MS_REMOUNT | MS_RDONLY, 0);
        if (error) complain("cannot unmount ", folder, error);
    }
    if (!root_is_memory) {
        int error = sys_mount(0, "/", 0, MS_REMOUNT | MS_RDONLY, 0);
        if (error) complain("cannot make the root file system read-only", "", error);
    }
}

static void wait_for_all(int signals, int milliseconds) {
    int status, found;
    struct pollfd set = {.fd = signals, .events = POLLIN};
    while (!reap(0, &status, &found) && milliseconds > 0) {
        struct signalfd_siginfo info;
        sys_poll(&set, 1, 100);
        milliseconds -= 100;
        if (set.revents & POLLIN) sys_read(signals, &info, sizeof info);
    }
}

static __attribute__((noreturn)) void end_machine(enum ending ending, int signals) {
    int status, found;
    if (!reap(0, &status, &found)) {
        sys_kill(-1, SIG_TERM);
        sys_kill(-1, SIG_HUP);  // an interactive shell ignores the other one
        sys_kill(-1, SIG_CONT);
        wait_for_all(signals, 3000);
        if (!reap(0, &status, &found)) {
            sys_kill(-1, SIG_KILL);
            wait_for_all(signals, 1000);
        }
    }
    CALL(sync, 0, 0, 0, 0, 0);
    unmount_all();
    // Without ACPI an x86 kernel knows no power-off: it would halt for ever. A reset ends the machine as well.
    if (ending == POWER_OFF && sys_exists("/sys/firmware/acpi")) sys_reboot(LINUX_REBOOT_CMD_POWER_OFF);
    sys_reboot(LINUX_REBOOT_CMD_RESTART);
    say("init: the kernel refuses to end the machine", 0, 0, 0);
    for (;;) CALL(pause, 0, 0, 0, 0, 0);
}

static enum ending ending_for(uint32_t signal) {
    switch (signal) {
    case SIG_TERM:      // busybox reboot
    case SIG_INT:       // Ctrl-Alt-Del by the kernel
    case SIG_REBOOT: return RESTART;
    case SIG_USR1:      // busybox halt: a halted machine that never ends helps nobody
    case SIG_USR2:      // busybox poweroff
    case SIG_PWR:
    case SIG_POWER_OFF: // the power button (CONFIG_ACPI_TINY_POWER_BUTTON)
        return POWER_OFF;
    default: return NO_ENDING;
    }
}

// MARK: - Ctrl-Alt-Del and power button as input devices (a kernel without virtual terminals leaves the keys to us)

enum { KEYBOARDS = 4 };

static unsigned open_keyboards(struct pollfd *set) {
    unsigned count = 0;
    char path[] = "/dev/input/event0";
    for (; count < KEYBOARDS; count++, path[sizeof path - 2]++) {
        int fd = sys_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) break;
        set[count] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return count;
}

static enum ending read_keyboard(int fd, int *is_asked) {
    static int control, alt;
    struct input_event event;
    enum ending ending = NO_ENDING;
    while (sys_read(fd, &event, sizeof event) == (long)sizeof event) {
        if (event.type != EV_KEY) continue;
        switch (event.code) {
        case KEY_LEFTCTRL: case KEY_RIGHTCTRL: control = event.value; break;
        case KEY_LEFTALT: case KEY_RIGHTALT: alt = event.value; break;
        case KEY_DELETE: if (event.value && control && alt) ending = RESTART; break;
        case KEY_POWER: if (event.value) ending = POWER_OFF; break;
        case KEY_SLEEP: if (event.value) *is_asked = 1; break;
        default: break;
        }
    }
    return ending;
}

// MARK: - The shell

/// The value of martlet.run on the command line, unquoted in place, or null.
static char *command_to_run(void) {
    char *rest = command_line;
    size_t n;
    for (char *word; (word = next_word(&rest, &n));) {
        int quoted = *word == '"';
        if (!starts_with(word + quoted, "martlet.run=")) continue;
        char *value = word + quoted + 12, *end = word + n;
        if (!quoted && *value == '"') quoted = 1, value++;
        if (quoted && end > value && end[-1] == '"') end--;
        *end = 0;
        return value;
    }
    return 0;
}

/// Opens the terminal behind /dev/console: that name itself cannot be a controlling terminal for every program.
static int open_terminal(void) {
    char active[128], path[128 + 5] = "/dev/";
    if (read_text("/sys/class/tty/console/active", active, sizeof active) > 0) {
        char *last = active;
        for (char *p = active; *p; p++)
            if (*p == ' ') last = p + 1;
        memcpy(path + 5, last, length(last) + 1);
        int fd = sys_open(path, O_RDWR);
        if (fd >= 0) return fd;
    }
    return sys_open("/dev/console", O_RDWR);
}

static __attribute__((noreturn, noinline)) void become_shell(char *command, const char *terminal_type) {
    block_signals(0);
    join_user_space();
    CALL(setsid, 0, 0, 0, 0, 0);
    int terminal = open_terminal();
    if (terminal < 0) complain("cannot open the console", "", terminal);
    else {
        int error = sys_ioctl(terminal, TIOCSCTTY, 0);
        if (error) complain("no job control", "", error);
        for (int fd = 0; fd < 3; fd++) CALL(dup2, terminal, fd, 0, 0, 0);
        if (terminal > 2) sys_close(terminal);
    }
    int error = sys_mkdir("/root", 0700);
    if (CALL(chdir, "/root", 0, 0, 0, 0) != 0) CALL(chdir, "/", 0, 0, 0, 0);

    char term[80] = "TERM=";
    for (size_t i = 0; i < sizeof term - 6 && terminal_type[i]; i++) term[5 + i] = terminal_type[i];
    char *environment[] = {
        "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PS1=\\h:\\w\\$ ", term, 0};
    char *login[] = {"-sh", 0}, *run[] = {"sh", "-c", command, 0};
    error = (int)CALL(execve, "/bin/sh", command ? run : login, environment, 0, 0);
    complain("cannot start ", "/bin/sh", error);
    sys_exit(127);
}

/// Holds back what is written to the terminal, or lets it out.
static int hold_terminal(int action) { return (int)CALL(ioctl, 1, TCXONC, action, 0, 0); }

static void greet(void) {
    struct new_utsname kernel = {.release = "(unknown)"};
    CALL(uname, &kernel, 0, 0, 0, 0);
    say("Linux ", kernel.release, " on Martlet. `poweroff` or `exit` ends this machine.", 0);
}

/// Starts a shell, or a command of one; returns its process, or -errno.
///
/// The new process shares our memory until it executes the shell, and we wait for that: a copy would be thrown away at once. Its frames
/// lie below this one, which holds nothing that either process changes.
static __attribute__((noinline)) int start_shell(char *command, const char *terminal_type) {
    int shell = (int)CALL(vfork, 0, 0, 0, 0, 0);
    if (shell == 0) become_shell(command, terminal_type);
    if (shell < 0) complain("cannot start a process", "", shell);
    return shell;
}

// MARK: - Main

__attribute__((noreturn, used)) static void start(long *stack) {
    char **environment = (char **)(stack + 1) + stack[0] + 1;
    if (CALL(getpid, 0, 0, 0, 0, 0) != 1) {
        say("init: this is for process 1 only", 0, 0, 0);
        sys_exit(1);
    }
    block_signals(handled_signals);
    int signals = (int)CALL(signalfd4, -1, &handled_signals, sizeof handled_signals, 02000000 /* close on exec */, 0);
    sys_reboot(LINUX_REBOOT_CMD_CAD_OFF);  // Ctrl-Alt-Del: a signal to us instead of an immediate reset

    mount_all();
    map_fewer_pages();
    int has_shell = !has_word(command_line, "martlet.shell=off");
    if (has_shell) read_shell_ahead();
    set_up_network_identity();

    // The kernel passes words that it does not know on: TERM=… from the command line, or its own default "linux".
    const char *terminal_type = "linux";
    for (char **e = environment; *e; e++)
        if (starts_with(*e, "TERM=")) terminal_type = *e + 5;
    if (equal(terminal_type, "linux")) terminal_type = "xterm";  // a serial line is no Linux virtual terminal

    struct pollfd set[2 + KEYBOARDS] = {{.fd = signals, .events = POLLIN}};
    unsigned count = 2 + open_keyboards(set + 2);
    find_identity_page();
    // A container's program shares this memory until its exec, and others in the container could look into it.
    CALL(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    agent_port = open_agent_port();
    set[1] = (struct pollfd){.fd = watch_port_last(), .events = POLLIN};
    if (!is_save_expected) listen_for_host(agent_port);
    char *command = command_to_run();
    // Whatever goes on from here has no shell to load: it stands at its first prompt. The terminal holds that back, and the greeting.
    int holds_shell = is_save_expected && has_shell && !command && hold_terminal(TCOOFF) == 0;
    if (is_save_expected && !has_shell && agent_port >= 0) start_first_agent();
    if (!holds_shell) pass_snapshot_point(set + 2, count - 2);
    if (!command && has_shell) greet();
    int shell = has_shell ? start_shell(command, terminal_type) : 0;
    if (holds_shell) {
        if (shell > 0) wait_for_reader(shell);
        freeze_user_space();
        pass_snapshot_point(set + 2, count - 2);
        hold_terminal(TCOON);
        thaw_user_space();
    }
    // Not before: a connection that is saved with the guest would be served again by all that go on from there.
    if (is_save_expected) listen_for_host(agent_port);

    enum ending ending = shell < 0 ? POWER_OFF : NO_ENDING;
    int status = 0, ended = 0;
    if (signals < 0) complain("no signals from this kernel: `poweroff` will not work", "", signals);
    while (ending == NO_ENDING) {
        sys_poll(set, count, signals < 0 ? 1000 : -1);
        struct signalfd_siginfo info;
        if (set[0].revents & POLLIN && sys_read(signals, &info, sizeof info) == (long)sizeof info)
            ending = ending_for(info.ssi_signo);
        if (set[1].revents & POLLIN) serve_connection();
        int is_asked = 0;
        for (unsigned i = 2; i < count && ending == NO_ENDING; i++)
            if (set[i].revents & POLLIN) ending = read_keyboard(set[i].fd, &is_asked);
        if (is_asked) {
            freeze_user_space();
            pass_snapshot_point(set + 2, count - 2);
            thaw_user_space();
        }
        reap(shell, &status, &ended);
        pass_programs_on();
        if (ended && ending == NO_ENDING) ending = POWER_OFF;
    }
    if (ended && (status & 0x7f)) {
        char buffer[24];
        say("init: the shell was killed by signal ", decimal(status & 0x7f, buffer), 0, 0);
    } else if (ended && command && status) {
        char buffer[24];
        say("init: the command ended with status ", decimal(status >> 8 & 0xff, buffer), 0, 0);
    }
    end_machine(ending, signals);
}
