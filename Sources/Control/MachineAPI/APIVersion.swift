// SPDX-License-Identifier: Apache-2.0

import Host

/// The identity of this program, for clients that ask.
package enum APIVersion {
    package static let name = "Martlet"
    package static let martlet = MartletVersion.text
    /// The version of Firecracker's API that Martlet follows.
    package static let firecracker = "1.17.0"
}
