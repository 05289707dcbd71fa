// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int chost_drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    // While the thread may: what it lacks the right for, it cannot gain by no_new_privs either.
    for (unsigned long i = 0; prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++) {}
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return chost_result((int)syscall(SYS_capset, &header, none));
}

int chost_open_as_user(const char *path) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct all[2], less[2];
    if (syscall(SYS_capget, &header, all) < 0) return -errno;
    memcpy(less, all, sizeof all);
    less[0].effective &= ~(1U << CAP_SYS_ADMIN);
    if (syscall(SYS_capset, &header, less) < 0) return -errno;
    int file = chost_result(open(path, O_RDONLY | O_CLOEXEC));
    syscall(SYS_capset, &header, all);
    return file;
}

int chost_forbid_new_privileges(void) { return chost_result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int chost_hide_memory(void) { return chost_result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }

int chost_limit_resources(void) {
    struct rlimit none = {0, 0}, files;
    if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0) return -errno;
    files.rlim_max = files.rlim_cur;
    return chost_result(setrlimit(RLIMIT_NOFILE, &files));
}

int chost_become(uid_t user, gid_t group) {
    // The C library has every thread do these.
    if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 || setresuid(user, user, user) < 0) return -errno;
    return setuid(0) == 0 ? -EPERM : 0;
}

enum { INHERITED_END = 1024 };
static unsigned char is_inherited[INHERITED_END / 8];

__attribute__((constructor(102))) static void look_at_descriptors(void) {
    struct pollfd set[INHERITED_END - 3];
    for (int i = 3; i < INHERITED_END; i++) set[i - 3] = (struct pollfd){.fd = i};
    // One call for all: a descriptor that is not open gets POLLNVAL. Beyond the limit of descriptors the call fails.
    struct rlimit limit;
    nfds_t count = INHERITED_END - 3;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < count) count = limit.rlim_cur;
    if (poll(set, count, 0) < 0) return;
    for (nfds_t i = 0; i < count; i++)
        if (!(set[i].revents & POLLNVAL)) is_inherited[set[i].fd / 8] |= (unsigned char)(1 << set[i].fd % 8);
}

void chost_close_inherited(const int *kept, int count) {
    for (int descriptor = 3; descriptor < INHERITED_END; descriptor++) {
        if (!(is_inherited[descriptor / 8] & 1 << descriptor % 8)) continue;
        int is_kept = 0;
        for (int i = 0; i < count; i++) is_kept |= kept[i] == descriptor;
        if (!is_kept) close(descriptor);
    }
    // Their numbers are others' by and by.
    memset(is_inherited, 0, sizeof is_inherited);
}

void chost_share_heap(void) { mallopt(M_ARENA_MAX, 1); }

// Newer than the headers of some hosts.
struct landlock_attributes {
    uint64_t files, ports, scopes;
};
enum {
    EXECUTE = 1 << 0, REMOVE_FOLDER = 1 << 4, MAKE_CHARACTER = 1 << 6, MAKE_FOLDER = 1 << 7,
    MAKE_BLOCK = 1 << 11,
    // All that version 1 knows: execute, write, read, list, remove and make.
    FILES_1 = (1 << 13) - 1, REFER = 1 << 13, TRUNCATE = 1 << 14, DEVICE_REQUESTS = 1 << 15,
    TCP = 3, ABSTRACT_SOCKETS_AND_SIGNALS = 3,
};

int chost_landlock_version(void) {
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : version;
}

// Allows what `rights` say beneath each folder.
static int allow(int ruleset, char *const *folders, uint64_t rights) {
    int result = 0;
    for (; *folders && result == 0 && rights != 0; folders++) {
        struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = open(*folders, O_PATH | O_CLOEXEC)};
        if (rule.parent_fd < 0) {
            // Nothing is beneath a folder that is not there.
            if (errno == ENOENT) continue;
            return -errno;
        }
        result = chost_result((int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
        close(rule.parent_fd);
    }
    return result;
}

int chost_landlock_restrict(char *const *opened, char *const *cleared) {
    int version = chost_landlock_version(), opens_all = 0;
    if (version == 0) return 0;
    for (char *const *folder = opened; *folder; folder++) opens_all |= strcmp(*folder, "/") == 0;
    uint64_t never = EXECUTE | MAKE_CHARACTER | MAKE_BLOCK, files = never;
    if (!opens_all) {
        files = FILES_1;
        if (version >= 3) files |= TRUNCATE;
        if (version >= 5) files |= DEVICE_REQUESTS;
    }
    // Every set of rules forbids to move a file to another folder, unless a rule says otherwise: a snapshot's files get their
    // names by a move out of the folder that they are written in.
    if (version >= 2) files |= REFER;
    struct landlock_attributes attributes = {.files = files};
    if (version >= 4) attributes.ports = TCP;
    // Version 6 has them as well, but kept threads of one process from signals to each other.
    if (version >= 7) attributes.scopes = ABSTRACT_SOCKETS_AND_SIGNALS;
    size_t size = version >= 6 ? sizeof attributes : version >= 4 ? 16 : 8;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (ruleset < 0) return -errno;
    int result = allow(ruleset, opened, files & ~never);
    if (result == 0) result = allow(ruleset, cleared, files & (REMOVE_FOLDER | MAKE_FOLDER));
    if (result == 0) result = chost_result((int)syscall(SYS_landlock_restrict_self, ruleset, 0));
    close(ruleset);
    return result;
}
