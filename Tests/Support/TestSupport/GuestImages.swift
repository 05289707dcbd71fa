// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The default guest, as guest-images/ builds it.
package enum GuestImages {
    /// Its path: in the folder that `MARTLET_GUEST_IMAGES` names, or in this source tree.
    package static let folder: String = {
        if let folder = unsafe getenv("MARTLET_GUEST_IMAGES") { return unsafe String(cString: folder) }
        let tree = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        return "/\(tree)/guest-images/build"
    }()

    /// Indicates whether tests with it run: where it is built, and where its absence is to be a failure.
    package static let isExpected: Bool = {
        let isRequired = unsafe getenv("MARTLET_REQUIRE_KVM").map { unsafe String(cString: $0) } == "1"
        return isRequired || isThere("vmlinux") && isThere("root.ext4")
    }()

    /// Shown with each test that is skipped.
    package static let reason = "needs the default guest: run make guest-images"

    package static func isThere(_ name: String) -> Bool {
        unsafe access("\(folder)/\(name)", R_OK) == 0
    }

    /// The path of one of its files.
    ///
    /// - Throws: `Missing`, which says what to run.
    package static func path(_ name: String) throws -> String {
        guard isThere(name) else { throw Missing(path: "\(folder)/\(name)") }
        return "\(folder)/\(name)"
    }

    package struct Missing: Error, CustomStringConvertible {
        package let path: String
        package var description: String { "\(path) is not there: run make guest-images" }
    }
}
