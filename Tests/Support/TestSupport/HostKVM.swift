// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Indicates whether tests can use this host's KVM.
///
/// With `MARTLET_REQUIRE_KVM=1` the answer is always yes, so that a host without KVM fails the tests instead of
/// skipping them.
package enum HostKVM {
    package static let path = "/dev/kvm"
    /// Shown with each test that is skipped.
    package static let reason = "needs \(path), readable and writable"

    package static let isUsable: Bool = {
        let isRequired = unsafe getenv("MARTLET_REQUIRE_KVM").map { unsafe String(cString: $0) } == "1"
        return unsafe isRequired || access(path, R_OK | W_OK) == 0
    }()
}
