// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import OCIImage
import RootImage
import SystemPackage
import TestSupport
import Testing

@Suite(.enabled(if: HostProgram.find("mke2fs") != nil && HostProgram.find("debugfs") != nil, "needs e2fsprogs"))
struct StoredImageTests {
    private let work: TemporaryFolder
    private let cache: ImageCache

    init() throws {
        work = try TemporaryFolder()
        cache = try ImageCache(FilePath(work.path).appending("cache"))
    }

    private func write(_ bytes: [UInt8], _ name: String) throws {
        let path = FilePath(work.path).pushing(FilePath(name))
        var folder = FilePath(work.path)
        for component in FilePath(name).components.dropLast() {
            folder.append(component)
            _ = unsafe folder.withPlatformString { unsafe mkdir($0, 0o755) }
        }
        let file = try FileDescriptor.open(
            path,
            .writeOnly,
            options: [.create, .truncate],
            permissions: .ownerReadWrite
        )
        try file.closeAfter { try file.write(all: bytes) }
    }

    /// Makes an OCI layout of layers; gives each the name of the program that packs it.
    private func layout(
        _ layers: [[UInt8]],
        packers: [String?],
        processor: JSONValue = "amd64",
        config: JSONValue = ["Cmd": ["sh"]],
        contents: [[UInt8]]? = nil
    ) throws {
        func blob(_ bytes: [UInt8]) throws -> JSONValue {
            let digest = SHA256.hex(of: bytes)
            try write(bytes, "oci/blobs/sha256/\(digest)")
            return ["digest": .string("sha256:\(digest)"), "size": .integer(Int64(bytes.count))]
        }
        var descriptors: [JSONValue] = []
        for (layer, packer) in zip(layers, packers) {
            var bytes = layer
            if let packer {
                try write(layer, "plain")
                let packed = try HostProgram.run(
                    FilePath("/bin/sh"),
                    ["-c", "\(packer) -c \(work.path)/plain > \(work.path)/packed"]
                )
                #expect(packed.status == 0)
                bytes = try FileContents.bytes(of: FilePath(work.path).appending("packed"), limit: 1 << 24)
            }
            descriptors.append(try blob(bytes))
        }
        let digests = (contents ?? layers).map { JSONValue.string("sha256:\(SHA256.hex(of: $0))") }
        let configuration: JSONValue = [
            "architecture": processor, "os": "linux", "config": config, "rootfs": ["diff_ids": .array(digests)],
        ]
        let manifest: JSONValue = ["config": try blob(Array(configuration.text.utf8)), "layers": .array(descriptors)]
        var entry = try blob(Array(manifest.text.utf8))
        if case .object(var object) = entry {
            object["annotations"] = ["org.opencontainers.image.ref.name": "latest"]
            entry = .object(object)
        }
        try write(Array((["manifests": [entry]] as JSONValue).text.utf8), "oci/index.json")
    }

    private var lower: [UInt8] {
        var archive = TarArchive()
        archive.add("etc/passwd", contents: Array("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/app:/bin/sh\n".utf8))
        archive.add("etc/group", contents: Array("root:x:0:\napp:x:1001:\nextra:x:7:app\n".utf8))
        archive.add("hidden", contents: [1])
        archive.add("owned", contents: [UInt8](repeating: 3, count: 5000), mode: 0o4711, user: 1000)
        return archive.whole
    }

    private var upper: [UInt8] {
        var archive = TarArchive()
        archive.add(".wh.hidden")
        archive.add("added", type: "2", target: "owned")
        return archive.whole
    }

    private func listing(_ image: FilePath, _ request: String) throws -> String {
        try HostProgram.run(try #require(HostProgram.find("debugfs")), ["-R", request, image.string]).text
    }

    @Test func `gzip and zstd layers become one file system, which is there the second time`() throws {
        try layout(
            [lower, upper],
            packers: ["gzip", "zstd -q"],
            config: ["Entrypoint": ["/e"], "User": "app", "StopSignal": "SIGINT"]
        )
        let reference = ImageReference("oci:\(work.path)/oci:latest")
        let image = try StoredImage(reference, in: cache)
        let names = try listing(image.root, "ls -p /")
        #expect(names.contains("/added/") && names.contains("/owned/") && !names.contains("/hidden/"))
        let owned = try listing(image.root, "stat /owned")
        #expect(owned.contains("Mode:  04711") && owned.contains("User:  1000") && owned.contains("Size: 5000"))
        #expect(image.configuration.entrypoint == ["/e"] && image.configuration.stopSignal == "SIGINT")
        #expect(try image.users.user("app") == .init(id: 1000, group: 1001, otherGroups: [7], home: "/app"))
        var reports: [String] = []
        #expect(try StoredImage(reference, in: cache) { reports.append($0) } == image)
        #expect(reports.isEmpty)
        #expect(
            try HostProgram.run(try #require(HostProgram.find("e2fsck")), ["-f", "-n", image.root.string]).status == 0
        )
    }

    @Test func `a damaged layer is refused in words`() throws {
        try layout([lower], packers: [nil])
        let name = SHA256.hex(of: lower)
        var bytes = lower
        bytes[600] ^= 1
        try write(bytes, "oci/blobs/sha256/\(name)")
        let error = #expect(throws: ImageError.self) {
            try StoredImage(ImageReference("oci:\(work.path)/oci"), in: cache)
        }
        #expect(error?.description.contains("is damaged") == true)
        #expect(try FolderListing.names(in: cache.folder.string).isEmpty)
    }

    @Test(arguments: ["gzip", nil])
    func `a layer that unpacks to something else than the image's configuration names is refused`(packer: String?)
        throws
    {
        try layout([lower], packers: [packer], contents: [upper])
        let error = #expect(throws: ImageError.self) {
            try StoredImage(ImageReference("oci:\(work.path)/oci"), in: cache)
        }
        #expect(error?.description.hasSuffix("does not unpack to what the image's configuration names") == true)
        #expect(try FolderListing.names(in: cache.folder.string).isEmpty)
        try layout([lower], packers: [packer], contents: [lower, upper])
        #expect(throws: ImageError.self) { try StoredImage(ImageReference("oci:\(work.path)/oci"), in: cache) }
    }

    @Test func `an image for another processor is refused, whether or not the index tells`() throws {
        try layout([upper], packers: [nil], processor: "arm64")
        let error = #expect(throws: ImageError.self) {
            try StoredImage(ImageReference("oci:\(work.path)/oci"), in: cache)
        }
        #expect(error?.description == "\(work.path)/oci has an image for linux/arm64; machines run linux/amd64")
    }

    @Test func `an image that is not there is named, with those that are`() throws {
        try layout([upper], packers: [nil])
        let error = #expect(throws: ImageError.self) {
            try StoredImage(ImageReference("oci:\(work.path)/oci:other"), in: cache)
        }
        #expect(error?.description == "\(work.path)/oci has no image 'other'; it has: latest")
    }

    @Test func `a folder is a root file system, made anew only when something in it changes`() throws {
        try write([1], "root/bin/program")
        let image = try StoredImage(ImageReference("\(work.path)/root"), in: cache)
        #expect(try StoredImage(ImageReference("\(work.path)/root"), in: cache).root == image.root)
        try write([1, 2], "root/bin/program")
        #expect(try StoredImage(ImageReference("\(work.path)/root"), in: cache).root != image.root)
    }

    @Test func `what docker save writes is an image too`() throws {
        var archive = TarArchive()
        archive.add("layer.tar", contents: lower)
        archive.add("config.json", contents: Array((["config": ["Cmd": ["sh"]]] as JSONValue).text.utf8))
        let manifest: JSONValue = [["Config": "config.json", "RepoTags": ["a:1"], "Layers": ["layer.tar"]]]
        archive.add("manifest.json", contents: Array(manifest.text.utf8))
        try write(archive.whole, "saved.tar")
        let image = try StoredImage(ImageReference("docker-archive:\(work.path)/saved.tar:a:1"), in: cache)
        #expect(image.configuration.command == ["sh"])
        #expect(try listing(image.root, "ls -p /").contains("/owned/"))
    }

    @Test(arguments: ["../../etc/passwd", "/etc/passwd", "link", "folder/config.json", ""])
    func `an archive that names files outside of itself is refused`(path: String) throws {
        try write(Array("{}".utf8), "config.json")
        var archive = TarArchive()
        archive.add("link", type: "2", target: "\(work.path)/config.json")
        archive.add("folder", type: "2", target: work.path)
        let manifest: JSONValue = [["Config": .string(path), "Layers": []]]
        archive.add("manifest.json", contents: Array(manifest.text.utf8))
        try write(archive.whole, "saved.tar")
        let problem = #expect(throws: ImageError.self) {
            try StoredImage(ImageReference("docker-archive:\(work.path)/saved.tar"), in: cache)
        }
        #expect(problem?.description.hasSuffix("the image names a file that it does not have") == true)
    }

    @Test func `a layer that docker save has as a link to another image's is found`() throws {
        var archive = TarArchive()
        archive.add("one/layer.tar", contents: lower)
        archive.add("two/layer.tar", type: "2", target: "../one/layer.tar")
        archive.add("config.json", contents: Array("{}".utf8))
        let manifest: JSONValue = [["Config": "config.json", "Layers": ["two/layer.tar"]]]
        archive.add("manifest.json", contents: Array(manifest.text.utf8))
        try write(archive.whole, "saved.tar")
        let image = try StoredImage(ImageReference("docker-archive:\(work.path)/saved.tar"), in: cache)
        #expect(try listing(image.root, "ls -p /").contains("/owned/"))
    }

    @Test func `users are found by name and number, with their groups`() throws {
        let users = UserDatabase(passwd: "root:x:0:0::/root:/bin/sh\na:x:5:6::/a:\n", group: "g:x:9:a\nh:x:10:b\n")
        #expect(try users.user("") == .init(id: 0, group: 0, home: "/root"))
        #expect(try users.user("a") == .init(id: 5, group: 6, otherGroups: [9], home: "/a"))
        #expect(try users.user("5:h") == .init(id: 5, group: 10, home: "/a"))
        #expect(try users.user("77:88") == .init(id: 77, group: 88))
        #expect(throws: ImageError.self) { try users.user("nobody") }
        #expect(throws: ImageError.self) { try users.user("a:nogroup") }
    }

    @Test func `bytes divide the lines and fields of users and groups`() throws {
        let users = UserDatabase(passwd: "root:x:0:0::/root:/bin/sh\r\na:x:5:6::/a\r\n", group: "g:x:9:b,a\r\n")
        #expect(try users.user("a") == .init(id: 5, group: 6, otherGroups: [9], home: "/a"))
        let marked = UserDatabase(passwd: "a:x:5:6:\u{301}:/a:\n", group: "")
        #expect(try marked.user("a") == .init(id: 5, group: 6, home: "/a"))
    }
}
