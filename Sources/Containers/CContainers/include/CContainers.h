// SPDX-License-Identifier: Apache-2.0
//
// SHA-256, by which images name their parts, and file calls that the Glibc module does not show to Swift.
#ifndef MARTLET_CCONTAINERS_H
#define MARTLET_CCONTAINERS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// The state of SHA-256 (FIPS 180-4).
struct ccontainers_sha256 {
    uint32_t state[8];
    uint64_t byte_count;
    uint8_t block[64];
};
void ccontainers_sha256_start(struct ccontainers_sha256 *hash);
void ccontainers_sha256_add(struct ccontainers_sha256 *hash, const void *bytes, size_t count);
void ccontainers_sha256_finish(struct ccontainers_sha256 *hash, uint8_t *digest32);

/// Opens a path with every link, `..` and leading slash resolved inside `root` (openat2(2), RESOLVE_IN_ROOT).
///
/// Closed on exec; -errno.
int ccontainers_open_in_root(int root, const char *path, int flags);

/// O_PATH, which the Glibc module does not show.
static const int ccontainers_path_only = 010000000;

/// Indicates whether a file of an overlay's upper folder hides or redirects what is below it, by an attribute.
int ccontainers_has_overlay_mark(const char *path);

/// setxattr(2) on an open file of any kind, one of O_PATH too; -errno.
int ccontainers_set_attribute(int file, const char *name, const void *value, size_t count);

#pragma clang assume_nonnull end

#endif
