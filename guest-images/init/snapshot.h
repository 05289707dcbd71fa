// SPDX-License-Identifier: Apache-2.0
//
// The guest's part in snapshots of its machine. A machine can be saved once and go on many times, and each of these has to
// have other random numbers, the right time, and its own name.
//
// Martlet offers this in a page of its own: a setup_data entry with the magic below, which sysfs shows as it is at each
// moment. A guest that takes part lights Num Lock. Martlet asks it to get ready for a save by the sleep key: the guest
// freezes its user space, lights Scroll Lock, and waits until `answer` changes. Behind that it is either the same machine as
// before, or `generation` has changed: then it takes the new identity before anything else in it runs.
// See "The guest's part" in docs/snapshots.md.

#include <linux/input.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/time_types.h>

struct identity_page {
    char magic[8];
    uint32_t answer, generation;
    int64_t seconds;  // since 1970, UTC; 0 for a clock that is right
    uint32_t nanoseconds, name_length;  // 0 for the name that it has
    uint8_t entropy[32];
    char name[64];
    uint32_t is_save_expected, padding;
};

static int identity_file = -1;
static uint32_t known_generation;
static int is_save_expected;  // when the guest has booted
static int user_space_group = -1;
#define USER_SPACE "/sys/fs/cgroup/user"

static int read_identity(struct identity_page *page) {
    return CALL(pread64, identity_file, page, sizeof *page, 0, 0) == (long)sizeof *page &&
           starts_with(page->magic, "mrtl-id1");
}

/// Looks for the page, and makes the place that a shell is frozen in. False where there is no Martlet that offers it.
static int find_identity_page(void) {
    char path[] = "/sys/kernel/boot_params/setup_data/0/data";
    struct identity_page page = {.magic = ""};
    for (; path[sizeof path - 7] < '3'; path[sizeof path - 7]++) {
        identity_file = sys_open(path, O_RDONLY | O_CLOEXEC);
        if (identity_file < 0) return 0;
        if (read_identity(&page)) {
            known_generation = page.generation;
            is_save_expected = page.is_save_expected != 0;
            CALL(mkdir, USER_SPACE, 0755, 0, 0, 0);
            user_space_group = sys_open(USER_SPACE, O_PATH | O_DIRECTORY | O_CLOEXEC);
            return 1;
        }
        sys_close(identity_file);
        identity_file = -1;
    }
    return 0;
}

/// A new process goes where it can be frozen.
static inline void join_user_space(void) {
    if (identity_file >= 0) write_text(USER_SPACE "/cgroup.procs", "0");
}

static int64_t milliseconds(void) {
    struct __kernel_timespec now = {0, 0};
    CALL(clock_gettime, 1 /* CLOCK_MONOTONIC */, &now, 0, 0, 0);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/// Waits until a process waits for its standard input or for a connection, or has ended.
static inline void wait_for_reader(int process) {
    char path[40] = "/proc/", number[24], call[192];
    memcpy(path + 6, decimal(process, number), length(decimal(process, number)));
    memcpy(path + length(path), "/syscall", 8);
    for (int64_t end = milliseconds() + 5000; milliseconds() < end;) {
        CALL(sched_yield, 0, 0, 0, 0, 0);
        // The number of the system call that it waits in, and the first argument: read(0, …), or poll() before that; epoll_wait().
        if (read_text(path, call, sizeof call) <= 0 || starts_with(call, "0 0x0 ") || starts_with(call, "7 ") || starts_with(call, "232 ")) return;
    }
}

static inline void freeze_user_space(void) {
    write_text(USER_SPACE "/cgroup.freeze", "1");
    // A task that waits for a disk freezes when the disk has answered.
    for (int64_t end = milliseconds() + 1000; milliseconds() < end;) {
        char events[64];
        if (read_text(USER_SPACE "/cgroup.events", events, sizeof events) < 0) return;
        for (const char *p = events; *p; p++)
            if (starts_with(p, "frozen 1")) return;
        CALL(sched_yield, 0, 0, 0, 0, 0);
    }
}

static void show_lights(const struct pollfd *keyboards, unsigned count, int is_ready) {
    struct input_event events[] = {
        {.type = EV_LED, .code = LED_NUML, .value = 1},
        {.type = EV_LED, .code = LED_SCROLLL, .value = 0},  // the input core sends changes alone
        {.type = EV_LED, .code = LED_SCROLLL, .value = is_ready},
        {.type = EV_SYN, .code = SYN_REPORT},
    };
    for (unsigned i = 0; i < count; i++) sys_write(keyboards[i].fd, events, sizeof events);
}

static void take_identity(const struct identity_page *page) {
    struct {
        struct rand_pool_info info;
        uint8_t bytes[sizeof page->entropy];
    } pool = {.info = {.entropy_count = 8 * sizeof pool.bytes, .buf_size = sizeof pool.bytes}};
    memcpy(pool.bytes, page->entropy, sizeof pool.bytes);
    int random = sys_open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    int error = sys_ioctl(random, RNDADDENTROPY, &pool);
    if (!error) error = sys_ioctl(random, RNDRESEEDCRNG, 0);
    if (error) say("init: the random numbers of this machine may be another's too", 0, 0, 0);
    sys_close(random);
    struct __kernel_timespec now, right = {.tv_sec = page->seconds, .tv_nsec = page->nanoseconds};
    if (right.tv_sec && CALL(clock_gettime, 0 /* CLOCK_REALTIME */, &now, 0, 0, 0) == 0) {
        int64_t difference = now.tv_sec - right.tv_sec;
        if (difference < -1 || difference > 1) CALL(clock_settime, 0, &right, 0, 0, 0);
    }
    if (page->name_length > 0 && page->name_length <= sizeof page->name)
        CALL(sethostname, page->name, page->name_length, 0, 0, 0);
    known_generation = page->generation;
}

static inline void thaw_user_space(void) { write_text(USER_SPACE "/cgroup.freeze", "0"); }

/// Lets Martlet save the machine here, if it wants to: while nothing else runs in user space.
static void pass_snapshot_point(const struct pollfd *keyboards, unsigned count) {
    struct identity_page page, before;
    if (identity_file < 0 || count == 0 || !read_identity(&before)) return;
    page = before;
    show_lights(keyboards, count, 1);
    if (page.generation == known_generation) {
        // Not asleep: a tick is long. Martlet answers at once, or saves the machine, which stands still then. On a busy host the
        // keyboard's driver may give the command up after 200 ms, so it gets the light again.
        int64_t now = milliseconds(), end = now + 10000, next = now + 300;
        for (; page.answer == before.answer && now < end; now = milliseconds()) {
            if (now >= next) {
                show_lights(keyboards, count, 1);
                next = now + 300;
            }
            CALL(sched_yield, 0, 0, 0, 0, 0);
            if (!read_identity(&page)) break;
        }
    }
    if (page.generation != known_generation) take_identity(&page);
    show_lights(keyboards, count, 0);
}
