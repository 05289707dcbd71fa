// SPDX-License-Identifier: Apache-2.0

import CHost
package import SystemPackage

/// The first step of a program: checks what it inherited.
package enum ProcessStart {
    /// Makes this process one that the rest of the program can rely on; call it before anything else opens a descriptor.
    ///
    /// - Standard descriptors that are closed lead to /dev/null: else the next file that is opened has their number, and the guest's
    ///   console reads or writes that file. Writing there stays an error.
    /// - All threads share one heap: one of its own would have a thread open a file of /sys at its first allocation.
    /// - A reader that goes away shows as an error of write(2), not as SIGPIPE.
    ///
    /// Signals that are ignored stay ignored: see `SignalWatch`.
    package static func prepare() throws(Errno) {
        try hostCall { chost_open_standard_descriptors() }
        chost_ignore_broken_pipes()
        chost_share_heap()
    }

    /// Has the kernel make the pages of all variables of this program that are zero so far; call it before threads use many of them.
    ///
    /// Most of them are caches of Swift's runtime, which reads each before it writes it. A page that is read first is copied when
    /// it is written, and once there are several threads all processors must hear of it: 0.35 ms of a restored machine's
    /// start, for a third of a megabyte.
    package static func populateData() {
        chost_populate_data()
    }

    /// Gives SIGPIPE back the action that it had, for the program that this process becomes by exec.
    package static func undo() {
        chost_restore_broken_pipes()
    }

    /// Returns whether a signal has no effect on this process.
    package static func isIgnored(_ signal: CInt) -> Bool {
        chost_is_ignored(signal) != 0
    }
}
