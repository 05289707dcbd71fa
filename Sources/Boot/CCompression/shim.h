// SPDX-License-Identifier: Apache-2.0

// bzlib.h uses FILE and does not declare it.
#include <stdio.h>

#include <bzlib.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lz4hc.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>
