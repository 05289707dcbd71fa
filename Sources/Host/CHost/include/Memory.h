// SPDX-License-Identifier: Apache-2.0
//
// Checksums of memory, and mappings of files that somebody may cut short.
#ifndef MARTLET_CHOST_MEMORY_H
#define MARTLET_CHOST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// CRC-32C (Castagnoli; RFC 3720, 12.1) of what `crc` is the CRC of, followed by `length` bytes; 0 for nothing yet.
uint32_t chost_crc32c(uint32_t crc, const void *bytes, size_t length);

/// From now on, an access to the range that finds its file shorter than the mapping (SIGBUS) writes `message` to standard
/// error and ends the process with status 1. Returns a number for `chost_unguard_mapping`, or -errno: -ENOSPC for too many.
int chost_guard_mapping(const void *start, size_t length, const char *message);
void chost_unguard_mapping(int number);

/// The offset of the next data, or the next hole, of a file (lseek(2)), or -1: -ENXIO as errno for none.
int64_t chost_seek_data(int file, int64_t offset);
int64_t chost_seek_hole(int file, int64_t offset);

/// Indicates whether a handler of SIGBUS that puts the terminal back is installed.
int chost_guards_mappings(void);

/// Gives the kernel back what is free of the heap, and all pages of files that are mapped without a right to write them. From the
/// first call on, no more than 16 KiB of the program's text come back at once.
void chost_give_back_memory(void);

#pragma clang assume_nonnull end

#endif
