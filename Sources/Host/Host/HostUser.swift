// SPDX-License-Identifier: Apache-2.0

import SystemPackage

/// A user of this host, with one group.
package struct HostUser: Hashable, Sendable {
    package let userID: UInt32
    package let groupID: UInt32

    /// The user by numbers, as `init(_:)` takes it.
    package var text: String { "\(userID):\(groupID)" }

    /// Finds a user.
    ///
    /// Fails where there is no such user, or it is root.
    ///
    /// - Parameter text: `NAME` of /etc/passwd, `UID` or `UID:GID`.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if let user = UInt32(parts[0]), parts.count <= 2, let group = UInt32(parts.last ?? "") {
            (userID, groupID) = (user, group)
        } else {
            // Not getpwnam: a static program has no modules that know other tables.
            guard let table = try? FileContents.text(of: "/etc/passwd", limit: 1 << 20),
                let fields = table.split(separator: "\n").lazy
                    .map({ $0.split(separator: ":", omittingEmptySubsequences: false) })
                    .first(where: { $0.count == 7 && $0[0] == text }),
                let user = UInt32(fields[2]), let group = UInt32(fields[3])
            else { return nil }
            (userID, groupID) = (user, group)
        }
        guard userID != 0, userID != .max, groupID != .max else { return nil }
    }
}
