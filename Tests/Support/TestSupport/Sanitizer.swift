// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The sanitizers that this process may have been built with.
package enum Sanitizer {
    /// Watches memory: has mappings and descriptors of its own.
    package static var hasAddress: Bool { unsafe dlsym(nil, "__asan_init") != nil }

    /// Watches threads: vfork(2) is fork(2) then.
    package static var hasThread: Bool { unsafe dlsym(nil, "__tsan_init") != nil }
}
