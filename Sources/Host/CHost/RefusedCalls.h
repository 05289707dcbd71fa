// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "CHost.h"

/// A system call that a filter in the log's mode lets through, because it is made here.
long chost_call(long number, long a, long b, long c, long d, long e, long f);
extern const char chost_call_end[];

/// The mode that `chost_filter_prepare` has set.
enum chost_filter_mode chost_refusal_mode(void);
