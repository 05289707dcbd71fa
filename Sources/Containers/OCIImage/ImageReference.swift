// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The place of an image, as users write it.
package enum ImageReference: Hashable, Sendable {
    /// An OCI image layout, and the name of an image there.
    case layout(FilePath, tag: String?)
    /// A tar file of one, or of `docker save`, and the name of an image in it.
    case archive(FilePath, tag: String?)
    /// A root file system.
    case folder(FilePath)
    /// An image that skopeo finds.
    case name(String)

    /// The form, for help texts.
    package static let form =
        "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], a folder, or a NAME for skopeo"

    package init(_ text: String) {
        func parts(_ rest: Substring) -> (FilePath, String?) {
            // A path that exists as a whole has no tag, even with colons in its name.
            guard !FilePath(hostText: String(rest)).exists, let colon = rest.firstIndex(of: ":") else {
                return (FilePath(hostText: String(rest)), nil)
            }
            return (FilePath(hostText: String(rest[..<colon])), String(rest[rest.index(after: colon)...]))
        }
        if text.hasPrefix("oci:") {
            let (path, tag) = parts(text.dropFirst(4))
            self = .layout(path, tag: tag)
        } else if let prefix = ["oci-archive:", "docker-archive:"].first(where: text.hasPrefix) {
            let (path, tag) = parts(text.dropFirst(prefix.count))
            self = .archive(path, tag: tag)
        } else if text.hasPrefix("/") || text.hasPrefix("./") || text.hasPrefix("../") || text == "." || text == ".." {
            self = .folder(FilePath(hostText: text))
        } else {
            self = .name(text)
        }
    }

    /// The arguments of `skopeo copy` for a name.
    static func skopeoSource(_ name: String) -> String {
        let transports = ["docker:", "docker-daemon:", "containers-storage:", "dir:", "ostree:"]
        return transports.contains(where: name.hasPrefix) ? name : "docker://" + name
    }
}
