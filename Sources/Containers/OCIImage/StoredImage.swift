// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
package import RootImage
package import SystemPackage

/// An image whose file system is ready for machines.
package struct StoredImage: Hashable, Sendable {
    /// The ext4 file, which all containers of the image share and none changes.
    package let root: FilePath
    package let configuration: ImageConfiguration
    /// The image's users and groups, as /etc/passwd and /etc/group have them.
    package let users: UserDatabase

    /// Finds an image, and makes its file system where that was not done before.
    ///
    /// `report` gets messages about slow steps.
    package init(_ reference: ImageReference, in cache: ImageCache, report: (String) -> Void = { _ in }) throws {
        switch reference {
        case .folder(let folder):
            root = try cache.base(of: folder)
            configuration = ImageConfiguration()
            users = UserDatabase(inRoot: folder)
        case .layout(let folder, let tag): self = try Self.stored(try ImageLayout(folder, tag: tag), in: cache, report)
        case .archive(let file, let tag):
            let folder = try Self.unpacked(file, in: cache)
            self = try withExtendedLifetime(folder) {
                try Self.stored(try ImageLayout(folder.path, tag: tag), in: cache, report)
            }
        case .name(let name):
            let folder = try Self.fetched(name, in: cache, report)
            self = try withExtendedLifetime(folder) {
                try Self.stored(try ImageLayout(folder.path, tag: nil), in: cache, report)
            }
        }
    }

    private init(_ root: FilePath, _ configuration: ImageConfiguration, _ users: UserDatabase) {
        (self.root, self.configuration, self.users) = (root, configuration, users)
    }

    private static func stored(
        _ layout: ImageLayout,
        in cache: ImageCache,
        _ report: (String) -> Void
    ) throws -> StoredImage {
        var digests: [String] = []
        for layer in layout.layers { digests.append(try layer.digest ?? digest(of: layer)) }
        let key = "layers-" + SHA256.hex(of: Array(digests.joined(separator: " ").utf8))
        let entry = try cache.make(key) { draft in
            report("making the image's file system (\(layout.layers.count) layers), which later runs reuse")
            let folder = draft.appending("tree")
            guard unsafe folder.withPlatformString({ unsafe mkdir($0, 0o755) }) == 0 else {
                throw ImageError("cannot make \(folder): \(Errno(rawValue: errno))")
            }
            defer { FolderTree.remove(folder) }
            var tree = try FileTree(folder)
            for layer in layout.layers {
                tree.startLayer()
                var reader = TarReader(tree)
                // A layer that is not packed is what it unpacks to, and `digest(of:)` has checked those that have no digest.
                let isChecked = layer.digest == nil || layer.contents == nil || layer.contents == layer.digest
                var hash = SHA256()
                try BlobReader.read(layer.path, digest: layer.digest) { bytes throws(ImageError) in
                    if !isChecked { hash.add(bytes) }
                    try reader.append(bytes)
                }
                try reader.finish()
                if !isChecked { try check(hash.finish(), of: layer) }
                tree = reader.sink
            }
            let listing = try TreeListing(of: folder)
            try FileSystemImage.make(draft.appending("root.ext4"), of: folder, listing, owners: tree.owners)
            try UserDatabase(inRoot: folder).save(in: draft)
        }
        return StoredImage(entry.appending("root.ext4"), layout.configuration, UserDatabase(savedIn: entry))
    }

    private static func digest(of layer: ImageLayout.Blob) throws(ImageError) -> String {
        var hash = SHA256()
        // As it is unpacked: an archive may be packed anew each time it is saved.
        try BlobReader.read(layer.path) { bytes throws(ImageError) in hash.add(bytes) }
        let digest = hash.finish()
        try check(digest, of: layer)
        return digest
    }

    private static func check(_ contents: String, of layer: ImageLayout.Blob) throws(ImageError) {
        guard layer.contents == nil || layer.contents == contents else {
            throw ImageError("\(layer.path) is damaged: it does not unpack to what the image's configuration names")
        }
    }

    /// Unpacks an archive of an image into a folder.
    private static func unpacked(_ file: FilePath, in cache: ImageCache) throws -> DraftFolder {
        let folder = try cache.makeDraft()
        do {
            var reader = TarReader(try FileTree(folder.path, hasLayers: false))
            try BlobReader.read(file) { bytes throws(ImageError) in try reader.append(bytes) }
            try reader.finish()
        } catch {
            throw ImageError("\(file): \(error)")
        }
        return folder
    }

    private static func fetched(_ name: String, in cache: ImageCache, _ report: (String) -> Void) throws -> DraftFolder
    {
        guard let skopeo = HostProgram.find("skopeo") else {
            throw ImageError(
                """
                '\(printable(name))' is the name of an image, and skopeo, which fetches images, is not there: install it \
                (apt-get install skopeo), or name a file or folder: \(ImageReference.form)
                """
            )
        }
        report("skopeo fetches \(printable(name))")
        let folder = try cache.makeDraft()
        let arguments = ["copy", "--quiet", ImageReference.skopeoSource(name), "oci:\(folder.path.hostText):image"]
        let ending = try HostProgram.run(skopeo, arguments)
        guard ending.status == 0 else {
            throw ImageError("skopeo cannot fetch '\(printable(name))': \(printable(ending.text, keepsLines: false))")
        }
        return folder
    }
}
