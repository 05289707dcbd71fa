// SPDX-License-Identifier: Apache-2.0

import Host
import JSON
import RootImage
package import SystemPackage

/// An image in a folder: an OCI image layout, or what `docker save` writes.
package struct ImageLayout {
    /// A file of the image.
    package struct Blob: Hashable, Sendable {
        package let path: FilePath
        /// The SHA-256 of the file, in hexadecimal; `nil` where nothing vouches for it.
        package let digest: String?
        /// The same of what it unpacks to (`diff_id`); `nil` where the image does not say.
        package internal(set) var contents: String?
    }

    /// The names in the image, from the lowest layer up.
    package let layers: [Blob]
    package let configuration: ImageConfiguration

    private static let documentLimit = 16 << 20

    /// Looks an image up in a folder.
    package init(_ folder: FilePath, tag: String?) throws(ImageError) {
        if let archive = try? Self.document(folder.appending("manifest.json"), digest: nil),
            (try? Self.document(folder.appending("index.json"), digest: nil)) == nil
        {
            try self.init(archive: archive, folder, tag: tag)
        } else {
            try self.init(index: Self.document(folder.appending("index.json"), digest: nil), folder, tag: tag)
        }
    }

    // MARK: - OCI image layout

    private init(index: JSONValue, _ folder: FilePath, tag: String?) throws(ImageError) {
        var candidates = index["manifests"].elements
        let names = candidates.map { $0["annotations"]["org.opencontainers.image.ref.name"].string }
        if let tag {
            candidates = zip(candidates, names).filter { $0.1 == tag || $0.1?.hasSuffix(":" + tag) == true }.map(\.0)
            guard !candidates.isEmpty else {
                let there = names.compactMap { $0 }.map { printable($0) }.joined(separator: ", ")
                throw ImageError(
                    "\(folder) has no image '\(printable(tag))'; it has: \(there.isEmpty ? "none with a name" : there)"
                )
            }
        } else if candidates.count > 1, Set(names).count > 1 {
            let there = names.compactMap { $0 }.map { printable($0) }.joined(separator: ", ")
            throw ImageError("\(folder) has several images; name one of them after a colon: \(there)")
        }
        var manifest: JSONValue?
        // An image for several platforms is an index in the index.
        for _ in 0..<4 {
            guard let chosen = candidates.first(where: Self.isOfThisPlatform) ?? candidates.first else { break }
            guard Self.isOfThisPlatform(chosen) else { throw ImageError("\(folder) has no image for linux/amd64") }
            let document = try Self.document(Self.blob(chosen, in: folder))
            guard case .array(let inner) = document["manifests"] else {
                manifest = document
                break
            }
            candidates = inner
        }
        guard let manifest else { throw ImageError("\(folder) has no image") }
        let configuration = try Self.document(Self.blob(manifest["config"], in: folder))
        try Self.checkPlatform(of: configuration, folder)
        self.configuration = ImageConfiguration(configuration["config"])
        var layers: [Blob] = []
        for layer in manifest["layers"].elements { layers.append(try Self.blob(layer, in: folder)) }
        self.layers = try Self.layers(layers, as: configuration, folder)
    }

    private static func isOfThisPlatform(_ descriptor: JSONValue) -> Bool {
        guard case .object(let platform) = descriptor["platform"] else { return true }
        return platform["os"] == "linux" && platform["architecture"] == "amd64"
    }

    /// An index need not say what its images are for; the image's own configuration must.
    private static func checkPlatform(of configuration: JSONValue, _ folder: FilePath) throws(ImageError) {
        guard let system = configuration["os"].string, let processor = configuration["architecture"].string,
            (system, processor) != ("linux", "amd64")
        else { return }
        let platform = printable("\(system)/\(processor)")
        throw ImageError("\(folder) has an image for \(platform); machines run linux/amd64")
    }

    /// Adds to the layers what the image's configuration, which was written before they were packed, says that they unpack to.
    private static func layers(
        _ layers: [Blob],
        as configuration: JSONValue,
        _ folder: FilePath
    ) throws(ImageError) -> [Blob] {
        guard case .array(let digests) = configuration["rootfs"]["diff_ids"] else { return layers }
        guard digests.count == layers.count else {
            throw ImageError("\(folder): the image has \(layers.count) layers, and its configuration \(digests.count)")
        }
        var result = layers
        for (index, name) in digests.enumerated() { result[index].contents = try Self.digest(name, folder) }
        return result
    }

    private static func blob(_ descriptor: JSONValue, in folder: FilePath) throws(ImageError) -> Blob {
        let digest = try digest(descriptor["digest"], folder)
        return Blob(path: folder.appending("blobs").appending("sha256").appending(digest), digest: digest)
    }

    private static func digest(_ value: JSONValue, _ folder: FilePath) throws(ImageError) -> String {
        guard let name = value.string, name.hasPrefix("sha256:") else {
            throw ImageError("\(folder): a part of the image has no SHA-256 digest")
        }
        let digest = String(name.dropFirst(7))
        // It becomes a path.
        guard digest.utf8.count == 64,
            digest.utf8.allSatisfy({ (0x30..<0x3a).contains($0) || (0x61..<0x67).contains($0) })
        else { throw ImageError("\(folder): '\(printable(name))' is not a digest") }
        return digest
    }

    // MARK: - docker save

    private init(archive: JSONValue, _ folder: FilePath, tag: String?) throws(ImageError) {
        let images = archive.elements
        let chosen = images.first { image in
            guard let tag else { return true }
            return image["RepoTags"].elements.contains { $0.string == tag || $0.string?.hasSuffix("/" + tag) == true }
        }
        guard let chosen, tag != nil || images.count == 1 else {
            throw ImageError("\(folder) has \(images.count) images, and none was named that it has")
        }
        let configuration = try Self.document(try Self.file(chosen["Config"], in: folder), digest: nil)
        try Self.checkPlatform(of: configuration, folder)
        self.configuration = ImageConfiguration(configuration["config"])
        var layers: [Blob] = []
        for layer in chosen["Layers"].elements {
            layers.append(Blob(path: try Self.file(layer, in: folder), digest: nil))
        }
        self.layers = try Self.layers(layers, as: configuration, folder)
    }

    private static func file(_ value: JSONValue, in folder: FilePath) throws(ImageError) -> FilePath {
        guard let name = value.string, !name.isEmpty, let root = try? folder.withoutLinks(),
            // An archive can have links, which `docker save` makes for layers that several images have.
            let file = try? root.pushing(FilePath(hostText: name)).withoutLinks(), file != root, file.starts(with: root)
        else {
            throw ImageError("\(folder): the image names a file that it does not have")
        }
        return file
    }

    // MARK: - Documents

    private static func document(_ blob: Blob) throws(ImageError) -> JSONValue {
        try document(blob.path, digest: blob.digest)
    }

    private static func document(_ path: FilePath, digest: String?) throws(ImageError) -> JSONValue {
        let bytes: [UInt8]
        do throws(FileContents.Failure) { bytes = try FileContents.bytes(of: path, limit: documentLimit) } catch {
            throw ImageError("\(path): \(error)")
        }
        guard digest == nil || SHA256.hex(of: bytes) == digest else {
            throw ImageError("\(path) is damaged: it does not have the digest that the image names")
        }
        do throws(JSONError) { return try JSONValue(parsing: bytes) } catch { throw ImageError("\(path): \(error)") }
    }
}
