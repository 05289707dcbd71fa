// SPDX-License-Identifier: Apache-2.0
//
// A terminal in raw mode that is put back on every way out of the process, crashes included.
//
// In C because the way out of a crash is a signal handler, and no Swift code is safe in one.

#ifndef MARTLET_CHOST_TERMINAL_H
#define MARTLET_CHOST_TERMINAL_H

/// Puts the terminal `fd` into raw mode and sees to it that every fatal signal, exit(3) and a job-control stop put it
/// back. One terminal for a process. 0, or -errno.
int chost_terminal_enter_raw(int fd);

/// Puts the terminal back; nothing where it is not raw. From any thread, any number of times.
void chost_terminal_restore(void);

/// Indicates whether a terminal is in raw mode now: then a line ends with \r\n.
int chost_terminal_is_raw(void);

/// Ends the process by `signal` as if nothing had handled it, so that a shell sees what happened.
__attribute__((noreturn)) void chost_end_by_signal(int signal);

#endif
