// SPDX-License-Identifier: Apache-2.0
//
// The file systems that init mounts, and the kernel's command line, which is read from one of them. Part of init.c.

#pragma once

static char command_line[4096];
static int root_is_memory;  // an initramfs: nothing on it outlives the machine

/// Mounts a file system, making its folder where that is missing. A kernel without it is told about, not fatal.
static void mount_at(const char *where, const char *type, unsigned long flags, const char *data) {
    int error = sys_mount(type, where, type, flags, data);
    if (error == -ENOENT) {
        error = sys_mkdir(where, 0755);
        if (error == 0) error = sys_mount(type, where, type, flags, data);
    }
    if (error != 0 && error != -EBUSY) complain("cannot mount ", where, error);  // busy: the kernel mounted it already
}

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

/// The next word of the kernel's part of the command line: spaces in quotes end no word, and what follows `--` is for
/// init's own arguments. Null at the end; `*rest` moves on.
static char *next_word(char **rest, size_t *n) {
    char *p = *rest;
    while (is_space(*p)) p++;
    char *word = p;
    for (int quoted = 0; *p && (quoted || !is_space(*p)); p++) quoted ^= *p == '"';
    *rest = p;
    *n = (size_t)(p - word);
    return *n == 0 || (*n == 2 && starts_with(word, "--")) ? 0 : word;
}

static int has_word(char *text, const char *wanted) {
    size_t n;
    for (char *word; (word = next_word(&text, &n));)
        if (n == length(wanted) && starts_with(word, wanted)) return 1;
    return 0;
}

static int root_is_writable(const char *mounts) {
    for (int spaces = 0; *mounts && spaces < 3; mounts++) spaces += *mounts == ' ';
    return starts_with(mounts, "rw");
}

static void mount_all(void) {
    mount_at("/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    read_text("/proc/cmdline", command_line, sizeof command_line);
    char mounts[64];  // "source folder type options": the root comes first
    root_is_memory = read_text("/proc/mounts", mounts, sizeof mounts) > 0 && starts_with(mounts, "rootfs ");
    // The kernel mounts a disk read-only unless `rw` is given; only an explicit `ro` means that it shall stay so.
    if (!root_is_memory && !root_is_writable(mounts) && !has_word(command_line, "ro")) {
        int error = sys_mount(0, "/", 0, MS_REMOUNT, 0);
        if (error) complain("cannot make the root file system writable", "", error);
    }
    mount_at("/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    mount_at("/dev", "devtmpfs", MS_NOSUID, "mode=0755");
    mount_at("/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
    mount_at("/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_at("/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
    mount_at("/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_at("/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    static const char *const links[][2] = {
        {"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}};
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) CALL(symlink, links[i][0], links[i][1], 0, 0, 0);
}

/// Lowers the kernel's fault-around from sixteen pages to four on hosts that interpret the guest's kernel; Martlet adds the parameter below
/// there. A short program uses one in five of the pages that a fault maps around it, and to map and unmap one costs half a page fault.
/// Other kernels than the default guest's lack the file, and the write fails.
static void map_fewer_pages(void) {
    if (has_word(command_line, "clearcpuid=erms,fsrm,popcnt")) write_text("/sys/module/memory/parameters/fault_around_bytes", "16384");
}

/// Has the kernel read, while the rest of the boot goes on, what a shell needs of Debian's busybox on a disk up to its prompt: 285 of its
/// 484 pages. Without this, page faults read 388 pages in three times as many requests, and wait for each.
///
/// The list is what a page cache without read-ahead holds at the prompt (125 pages), with gaps of up to 12 pages filled: a request costs
/// as much as nine pages. For another busybox it is only a worse guess.
static void read_shell_ahead(void) {
    static const struct { uint16_t first, count; } pages[] = {
        {0, 99}, {123, 9}, {148, 71}, {234, 7}, {292, 14}, {377, 74}, {473, 11}};
    int file = root_is_memory ? -1 : sys_open("/bin/busybox", O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    for (unsigned i = 0; i < sizeof pages / sizeof *pages; i++)
        CALL(readahead, file, pages[i].first * 4096, pages[i].count * 4096, 0, 0);
    sys_close(file);
}
