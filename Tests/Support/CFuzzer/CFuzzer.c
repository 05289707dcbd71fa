// SPDX-License-Identifier: Apache-2.0
#include "CFuzzer.h"

#include <sys/mman.h>

int cfuzzer_memory_file(void) { return memfd_create("fuzzer input", MFD_CLOEXEC); }
