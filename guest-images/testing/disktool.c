// SPDX-License-Identifier: Apache-2.0
//
// What tests of disks run inside the guest. Each line that it prints is one write, so a line that the host saw is true.
//
//     disktool raw     DEVICE SEED          records on the bare disk, until it is full: "durable N" after each batch
//     disktool files   FOLDER SEED          the same with one file for each record: "durable N" after each file
//     disktool check   DEVICE|FOLDER SEED   what of that is there: "intact N"
//     disktool fill    DEVICE               writes until an error: "filled BYTES errno E", "flushed errno E"
//     disktool info    DEVICE               a line "NAME VALUE" for each property
//     disktool bench   DEVICE SIZE COUNT read|write      O_DIRECT, one at a time, one after the other
//     disktool discard DEVICE OFFSET LENGTH              BLKDISCARD: "discard errno E"
//     disktool zero    DEVICE OFFSET LENGTH              BLKZEROOUT: "zero errno E"
//
// Sizes and offsets are in bytes, decimal; SEED is a decimal number below 2^64. The exit status is 0, or 1 after an
// error that ended the work ("error WHAT errno E"), or 64 after wrong words; a full disk is no error.
//
// ## Records
//
// Record i has 4096 bytes. `raw` puts it at byte i * 4096 of the disk; `files` makes it the contents of the file that
// is named i, eight decimal digits. Numbers are little-endian and have 64 bits:
//
//     byte 0     magic       the letters "MARTLETR"
//     byte 8     seed        SEED
//     byte 16    index       i
//     byte 24    generation  which run wrote it, see below
//     byte 32    payload     507 words; word k is mix(seed + index * 512 + k), k from 0, sums modulo 2^64
//     byte 4088  checksum    FNV-1a, 64 bits, of bytes 0 to 4087: basis 0xcbf29ce484222325, prime 0x100000001b3
//
// mix is the finaliser of splitmix64: x ^= x >> 30; x *= 0xbf58476d1ce4e5b9; x ^= x >> 27; x *= 0x94d049bb133111eb;
// x ^= x >> 31. A record is intact if all of that holds; the generation may be any.
//
// A run first counts the intact records of SEED from index 0 up to the first that is not ("found N generation G"), and
// goes on with index N. G is 0 on a disk without records, else one more than the generation of record N - 1.
//
// "durable N" says that records 0 to N - 1 outlive everything from now on: `raw` wrote a batch of up to eight of them
// and fdatasync returned; `files` wrote a file under another name (i and ".new"), and fsync of it, rename, and fsync of
// the folder returned. More than N may be there. "full N" ends a run: the same, and there is no room for another.

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <linux/time.h>

#include "../init/freestanding.h"

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif

enum { RECORD_SIZE = 4096, PAYLOAD_WORDS = 507, BATCH = 8, BUFFER_SIZE = 1 << 20 };

struct record {
    uint8_t magic[8];
    uint64_t seed, index, generation, payload[PAYLOAD_WORDS], checksum;
};
_Static_assert(sizeof(struct record) == RECORD_SIZE, "a record is one block");

// Aligned for O_DIRECT. In .bss: only what is used takes memory.
static uint8_t buffer[BUFFER_SIZE] __attribute__((aligned(4096)));

// MARK: - Words

/// One line "A NUMBER B NUMBER".
static void report(const char *a, uint64_t first, const char *b, int64_t second) {
    char text[200], number[24];
    size_t n = 0;
    const char *part[] = {a, " ", decimal((int64_t)first, number)};
    for (int i = 0; i < 3; i++)
        for (const char *p = part[i]; *p && n < sizeof text - 1; p++) text[n++] = *p;
    text[n] = 0;
    if (b) say(text, " ", b, decimal(second, number));
    else say(text, 0, 0, 0);
}
static int outcome(const char *what, long error) {  // error is 0 or -errno
    char number[24];
    say(what, " errno ", decimal(-error, number), 0);
    return error != 0;
}
static int failed(const char *what, long error) {
    char number[24];
    say("error ", what, " errno ", decimal(-error, number));
    return 1;
}
static int number(const char *text, uint64_t *value) {
    *value = 0;
    if (!*text) return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return 0;
        *value = *value * 10 + (uint64_t)(*text - '0');
    }
    return 1;
}

// MARK: - Records

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}
static uint64_t checksum(const struct record *record) {
    uint64_t sum = 0xcbf29ce484222325;
    const uint8_t *p = (const uint8_t *)record;
    for (size_t i = 0; i < offsetof(struct record, checksum); i++) sum = (sum ^ p[i]) * 0x100000001b3;
    return sum;
}
static void make_record(struct record *record, uint64_t seed, uint64_t index, uint64_t generation) {
    memcpy(record->magic, "MARTLETR", 8);
    record->seed = seed;
    record->index = index;
    record->generation = generation;
    for (unsigned k = 0; k < PAYLOAD_WORDS; k++) record->payload[k] = mix(seed + index * 512 + k);
    record->checksum = checksum(record);
}
static int is_intact(const struct record *record, uint64_t seed, uint64_t index) {
    static struct record wanted;
    make_record(&wanted, seed, index, record->generation);
    const uint64_t *a = (const uint64_t *)record, *b = (const uint64_t *)&wanted;
    for (unsigned k = 0; k < RECORD_SIZE / 8; k++)
        if (a[k] != b[k]) return 0;
    return 1;
}

/// Reads or writes all of it; 0, -errno, or -ENOSPC where nothing more fits (-ENODATA: nothing more to read).
static long transfer(long call, int fd, void *bytes, size_t count, uint64_t offset) {
    while (count) {
        long n = system_call(call, fd, (long)bytes, (long)count, (long)offset, 0);
        if (n < 0) return n;
        if (n == 0) return call == __NR_pread64 ? -ENODATA : -ENOSPC;
        bytes = (uint8_t *)bytes + n;
        count -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

// MARK: - Places: a bare disk or a folder

struct place {
    int fd, is_folder;
};

static struct place open_place(const char *path, int flags) {
    struct place place = {.fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .is_folder = 1};
    if (place.fd == -ENOTDIR) place = (struct place){.fd = sys_open(path, flags | O_CLOEXEC)};
    return place;
}
/// The name of a record's file, eight digits; what follows them comes from `suffix`.
static const char *file_name(uint64_t index, const char *suffix, char name[16]) {
    for (int i = 7; i >= 0; i--, index /= 10) name[i] = (char)('0' + index % 10);
    memcpy(name + 8, suffix, length(suffix) + 1);
    return name;
}
static long read_record(struct place place, uint64_t index, struct record *record) {
    if (!place.is_folder) return transfer(__NR_pread64, place.fd, record, RECORD_SIZE, index * RECORD_SIZE);
    char name[16];
    int fd = (int)CALL(openat, place.fd, file_name(index, "", name), O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0) return fd;
    long error = transfer(__NR_pread64, fd, record, RECORD_SIZE, 0);
    sys_close(fd);
    return error;
}
/// How many records are intact; `generation` is that of a run that begins now.
static uint64_t count_records(struct place place, uint64_t seed, uint64_t *generation) {
    static struct record record;
    uint64_t count = 0;
    *generation = 0;
    while (read_record(place, count, &record) == 0 && is_intact(&record, seed, count)) {
        *generation = record.generation + 1;
        count++;
    }
    return count;
}

static int check(const char *path, uint64_t seed) {
    struct place place = open_place(path, O_RDONLY);
    if (place.fd < 0) return failed("open", place.fd);
    uint64_t generation;
    report("intact", count_records(place, seed, &generation), 0, 0);
    return 0;
}

static long write_batch(struct place place, uint64_t *index, uint64_t end, uint64_t seed, uint64_t generation) {
    struct record *records = (struct record *)buffer;
    unsigned count = 0;
    for (; count < BATCH && *index + count < end; count++)
        make_record(&records[count], seed, *index + count, generation);
    if (count == 0) return -ENOSPC;
    long error = transfer(__NR_pwrite64, place.fd, records, count * RECORD_SIZE, *index * RECORD_SIZE);
    if (!error) error = CALL(fdatasync, place.fd, 0, 0, 0, 0);
    if (!error) *index += count;
    return error;
}
static long write_file(struct place place, uint64_t *index, uint64_t seed, uint64_t generation) {
    struct record *record = (struct record *)buffer;
    char draft[16], name[16];
    make_record(record, seed, *index, generation);
    file_name(*index, ".new", draft);
    file_name(*index, "", name);
    int fd = (int)CALL(openat, place.fd, draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644, 0);
    if (fd < 0) return fd;
    long error = transfer(__NR_pwrite64, fd, record, RECORD_SIZE, 0);
    if (!error) error = CALL(fsync, fd, 0, 0, 0, 0);
    sys_close(fd);
    if (!error) error = CALL(renameat, place.fd, draft, place.fd, name, 0);
    if (!error) error = CALL(fsync, place.fd, 0, 0, 0, 0);
    if (!error) *index += 1;
    return error;
}

static int write_records(const char *path, uint64_t seed, int is_folder) {
    struct place place = open_place(path, O_RDWR);
    if (place.fd < 0) return failed("open", place.fd);
    if (place.is_folder != is_folder) return failed("open", is_folder ? -ENOTDIR : -EISDIR);
    uint64_t end = 100000000, size = 0;  // eight digits
    if (!is_folder) {
        int error = sys_ioctl(place.fd, BLKGETSIZE64, &size);
        if (error) return failed("size", error);
        end = size / RECORD_SIZE;
    }
    uint64_t generation, index = count_records(place, seed, &generation);
    report("found", index, "generation ", (int64_t)generation);
    for (;;) {
        long error = is_folder ? write_file(place, &index, seed, generation)
                               : write_batch(place, &index, end, seed, generation);
        if (error == -ENOSPC) break;
        if (error) return failed("write", error);
        report("durable", index, 0, 0);
    }
    report("full", index, 0, 0);
    return 0;
}

// MARK: - Fill, discard, zero, bench

static int fill(const char *path) {
    int fd = sys_open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return failed("open", fd);
    memset(buffer, 0xa5, BUFFER_SIZE / 8);
    uint64_t total = 0;
    long n;
    while ((n = CALL(pwrite64, fd, buffer, BUFFER_SIZE / 8, total, 0)) > 0) total += (uint64_t)n;
    report("filled", total, "errno ", -n);
    return outcome("flushed", CALL(fdatasync, fd, 0, 0, 0, 0));
}

static int change_range(const char *what, const char *path, unsigned long request, uint64_t offset, uint64_t size) {
    int fd = sys_open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return failed("open", fd);
    uint64_t range[2] = {offset, size};
    return outcome(what, sys_ioctl(fd, request, range));
}

static uint64_t nanoseconds(void) {
    struct timespec now = {0, 0};
    CALL(clock_gettime, 1 /* CLOCK_MONOTONIC */, &now, 0, 0, 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/// From the disk's beginning, and from there again after its end. The clock is read twice in all: on a host that
/// interprets the guest's kernel, a look at it costs as much as a small transfer.
static int bench(const char *path, uint64_t size, uint64_t count, int writes) {
    int fd = sys_open(path, (writes ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return failed("open", fd);
    uint64_t capacity = 0, offset = 0;
    int error = sys_ioctl(fd, BLKGETSIZE64, &capacity);
    if (error) return failed("size", error);
    if (size == 0 || size > BUFFER_SIZE || size > capacity || count == 0) return failed("size", -EINVAL);
    memset(buffer, 0x5a, size);  // no page fault of ours while the clock runs
    uint64_t began = nanoseconds();
    for (uint64_t i = 0; i < count; i++, offset += size) {
        if (offset + size > capacity) offset = 0;
        long problem = transfer(writes ? __NR_pwrite64 : __NR_pread64, fd, buffer, size, offset);
        if (problem) return failed(writes ? "write" : "read", problem);
    }
    uint64_t took = nanoseconds() - began;
    if (took == 0) took = 1;
    report(writes ? "bench write" : "bench read", size, "count ", (int64_t)count);
    report("ns/op", took / count, 0, 0);
    // Megabytes, 10^6 bytes: bytes a microsecond. In thousandths, as there is no floating point here.
    uint64_t thousandths = size * count * 1000000 / took;
    char whole[24], part[24];
    const char *fraction = decimal((int64_t)(1000 + thousandths % 1000), part);
    say("MB/s ", decimal((int64_t)(thousandths / 1000), whole), ".", fraction + 1);
    return 0;
}

// MARK: - Info

/// The entries of a folder that are folders themselves: one for each queue in /sys/block/…/mq.
static uint64_t count_folders(const char *path) {
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return 0;
    struct entry {
        uint64_t inode, offset;
        uint16_t size;
        uint8_t type;
        char name[];
    };
    uint64_t count = 0;
    long n;
    while ((n = CALL(getdents64, fd, buffer, BUFFER_SIZE, 0, 0)) > 0)
        for (long i = 0; i < n; i += ((struct entry *)(buffer + i))->size) {
            struct entry *entry = (struct entry *)(buffer + i);
            count += entry->type == 4 /* DT_DIR */ && entry->name[0] != '.';
        }
    sys_close(fd);
    return count;
}

static int info(const char *device) {
    static const char *const names[] = {
        "ro", "serial", "cache_type", "removable", "queue/logical_block_size", "queue/physical_block_size",
        "queue/minimum_io_size", "queue/optimal_io_size", "queue/write_cache", "queue/fua", "queue/rotational",
        "queue/discard_granularity", "queue/discard_max_bytes", "queue/max_discard_segments",
        "queue/write_zeroes_max_bytes", "queue/max_segments", "queue/max_segment_size", "queue/max_sectors_kb",
        "queue/nr_requests"};
    const char *name = device;
    for (const char *p = device; *p; p++)
        if (*p == '/') name = p + 1;
    size_t n = length(name);
    char path[128] = "/sys/block/", text[256];
    if (n > 32) return failed("name", -EINVAL);
    char *end = path + 11;
    memcpy(end, name, n);
    end += n;
    *end++ = '/';

    int fd = sys_open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failed("open", fd);
    uint64_t capacity = 0;
    int error = sys_ioctl(fd, BLKGETSIZE64, &capacity);
    if (error) return failed("size", error);
    report("capacity", capacity, 0, 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        memcpy(end, names[i], length(names[i]) + 1);
        if (read_text(path, text, sizeof text) < 0) continue;  // not every kernel has each
        say(names[i] + (starts_with(names[i], "queue/") ? 6 : 0), " ", text, 0);
    }
    memcpy(end, "mq", 3);
    report("queues", count_folders(path), 0, 0);
    return 0;
}

// MARK: - Main

static int run(int count, char **word) {
    uint64_t a, b;
    const char *mode = count > 2 ? word[1] : "";
    if (equal(mode, "raw") && count == 4 && number(word[3], &a)) return write_records(word[2], a, 0);
    if (equal(mode, "files") && count == 4 && number(word[3], &a)) return write_records(word[2], a, 1);
    if (equal(mode, "check") && count == 4 && number(word[3], &a)) return check(word[2], a);
    if (equal(mode, "fill") && count == 3) return fill(word[2]);
    if (equal(mode, "info") && count == 3) return info(word[2]);
    if (count >= 5 && number(word[3], &a) && number(word[4], &b)) {
        if (equal(mode, "bench") && count == 6 && (equal(word[5], "read") || equal(word[5], "write")))
            return bench(word[2], a, b, equal(word[5], "write"));
        if (equal(mode, "discard") && count == 5) return change_range("discard", word[2], BLKDISCARD, a, b);
        if (equal(mode, "zero") && count == 5) return change_range("zero", word[2], BLKZEROOUT, a, b);
    }
    say("usage: disktool raw|files|check|fill|info|bench|discard|zero PLACE ...: see disktool.c", 0, 0, 0);
    return 64;
}

static void start(long *stack) { sys_exit(run((int)stack[0], (char **)(stack + 1))); }
