// SPDX-License-Identifier: Apache-2.0

/// The version of Martlet, which all of its programs show.
package enum MartletVersion {
    package static let text = "0.1.0"
}
