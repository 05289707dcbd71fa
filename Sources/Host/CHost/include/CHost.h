// SPDX-License-Identifier: Apache-2.0
//
// The parts of the host's C library and kernel interface that the Glibc module does not show to Swift, or that have to run in
// a signal handler, where no Swift code is safe.
#ifndef MARTLET_CHOST_H
#define MARTLET_CHOST_H

#include "Events.h"
#include "Files.h"
#include "Memory.h"
#include "Processes.h"
#include "Sandbox.h"
#include "Sockets.h"
#include "Start.h"
#include "Terminal.h"
#include "Threads.h"

#endif
