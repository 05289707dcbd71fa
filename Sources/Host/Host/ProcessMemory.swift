// SPDX-License-Identifier: Apache-2.0

import CHost

/// The memory of this process.
package enum ProcessMemory {
    /// Gives the host back the free heap, and the pages of the program's text and constants.
    ///
    /// Those were never written, so what is still needed of them comes back from the page cache, at most 8 KiB at a time.
    package static func giveBack() {
        chost_give_back_memory()
    }

    /// Gives back what a step of a machine's making took, where a request makes it: each step calls another part of the program,
    /// which would stay in memory up to the last one.
    ///
    /// A start that a user waits for at a terminal takes the memory for a moment instead.
    package static func endStep() {
        if HostThread.isCurrent("requests") { giveBack() }
    }
}
