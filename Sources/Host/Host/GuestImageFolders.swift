// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The folders that hold the images of the default guest.
package enum GuestImageFolders {
    /// The environment variable that names another folder, which alone is looked in then.
    package static let environmentVariable = "MARTLET_GUEST_IMAGES"

    /// The folders of an installation or a build tree that hold its images; never those of folders above them.
    ///
    /// - Parameter executable: `PREFIX/bin/martlet`, or `SOURCE/.build/TRIPLE/CONFIGURATION/martlet`.
    /// - Returns: None for a program at another place.
    package static func folders(of executable: FilePath) -> [FilePath] {
        let folder = executable.parent
        let parent = folder.parent
        if folder.lastComponent == "bin" { return [parent.appending("share").appending("martlet")] }
        if parent.lastComponent == "libexec", folder.lastComponent == "martlet" {
            return [parent.parent.appending("share").appending("martlet")]
        }
        let build = parent.parent
        guard build.lastComponent == ".build" else { return [] }
        return [build.parent.appending("guest-images").appending("build")]
    }
}
