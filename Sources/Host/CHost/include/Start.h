// SPDX-License-Identifier: Apache-2.0
//
// The command line of this process, also where there is no /proc.
#ifndef MARTLET_CHOST_START_H
#define MARTLET_CHOST_START_H

#pragma clang assume_nonnull begin

/// The number of arguments, the program's name included.
int chost_argument_count(void);
/// An argument; NULL for none.
const char *_Nullable chost_argument(int index);
/// Has the kernel make the pages of this program's variables that are zero at its start.
void chost_populate_data(void);

#pragma clang assume_nonnull end

#endif
