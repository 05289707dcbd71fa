// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host

/// Calls `body` on a thread that may make the system calls of its kind only, and waits for it: for a process of the test's own.
///
/// - Parameters:
///   - kind: `CHOST_VCPU` and others.
///   - body: Returns where each call was allowed.
/// - Throws: `HostThreadError`.
package func callInSandbox(as kind: CInt, _ body: @escaping @Sendable () -> Void) throws {
    guard chost_filter_prepare(CHOST_FILTER_ENFORCE, -1, -1) == 0 else { _exit(2) }
    try HostThread("restricted") {
        guard chost_filter_install(kind, 0) == 0 else { _exit(3) }
        body()
    }.join()
}
