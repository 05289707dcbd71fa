// SPDX-License-Identifier: Apache-2.0

import CHost

/// The memory of this process.
package enum ProcessMemory {
    /// Gives the host back the free heap, and the pages of the program's text and constants.
    ///
    /// Those were never written, so what is still needed of them comes back from the page cache, some pages at a time.
    package static func giveBack() {
        chost_give_back_memory()
    }
}
