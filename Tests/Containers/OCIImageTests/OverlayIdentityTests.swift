// SPDX-License-Identifier: Apache-2.0

import Glibc
import RootImage
import SystemPackage
import TestSupport
import Testing

/// Root file systems that engines have mounted, known by their layers.
struct OverlayIdentityTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["one", "two", "with space", "up", "up/etc"] {
            #expect(unsafe mkdir("\(folder.path)/\(name)", 0o755) == 0)
        }
        _ = try folder.write([1], to: "one/file")
    }

    /// The identity of a folder that is mounted with these options.
    private func identity(_ options: String, type: String = "overlay", at place: String = "/m") -> OverlayIdentity? {
        let other = "30 1 8:1 / / rw shared:1 - ext4 /dev/vda rw\n31 30 0:40 / /m rw - tmpfs tmpfs rw\n"
        let line = "32 30 0:41 / /m rw,relatime shared:2 master:3 - \(type) overlay \(options)\n"
        return OverlayIdentity(mountedAt: Array(place.utf8), in: Array((other + line).utf8))
    }

    private var base: String { folder.path }

    @Test func `the same layers are the same files, in whatever folder they are mounted`() throws {
        let first = try #require(identity("rw,lowerdir=\(base)/one:\(base)/two,upperdir=\(base)/up,workdir=/w"))
        #expect(identity("rw,lowerdir=\(base)/one:\(base)/two,upperdir=\(base)/up,workdir=/other") == first)
        #expect(identity("rw,lowerdir+=\(base)/one,lowerdir+=\(base)/two,upperdir=\(base)/up,index=off") == first)
        #expect(identity("rw,lowerdir=\(base)/two:\(base)/one,upperdir=\(base)/up") != first)
        #expect(identity("ro,lowerdir=\(base)/one:\(base)/two") != first)
    }

    @Test func `what was written above the layers counts, and so does another folder in a layer's place`() throws {
        let options = "rw,lowerdir=\(base)/one,upperdir=\(base)/up"
        let first = try #require(identity(options))
        try folder.write(Array("x".utf8), to: "up/etc/passwd")
        let second = try #require(identity(options))
        #expect(second != first)
        // The folder that is kept has the number.
        #expect(unsafe rename("\(base)/one", "\(base)/old") == 0)
        #expect(unsafe mkdir("\(base)/one", 0o755) == 0)
        #expect(try #require(identity(options)) != second)
    }

    @Test func `what engines make in each container anew is the same, also in a layer of the container's own`() throws {
        for (number, layer) in ["init1", "init2"].enumerated() {
            for name in [layer, "\(layer)/etc"] { #expect(unsafe mkdir("\(base)/\(name)", 0o755) == 0) }
            _ = try folder.write([], to: "\(layer)/etc/hosts")
            #expect(unsafe symlink("/proc/mounts", "\(base)/\(layer)/etc/mtab") == 0)
            var times = [timespec(tv_sec: number, tv_nsec: 0), timespec(tv_sec: number, tv_nsec: 0)]
            let result = unsafe utimensat(AT_FDCWD, "\(base)/\(layer)/etc/mtab", &times, AT_SYMLINK_NOFOLLOW)
            #expect(result == 0)
        }
        let first = try #require(identity("rw,lowerdir=\(base)/init1:\(base)/two,upperdir=\(base)/up"))
        #expect(identity("rw,lowerdir=\(base)/init2:\(base)/two,upperdir=\(base)/up") == first)
        _ = try folder.write([1], to: "init2/etc/hosts")
        #expect(identity("rw,lowerdir=\(base)/init2:\(base)/two,upperdir=\(base)/up") != first)
    }

    @Test func `a layer that is known by its files alone is one without many, whose files are not hidden ones`() throws
    {
        for layer in ["big1", "big2"] {
            #expect(unsafe mkdir("\(base)/\(layer)", 0o755) == 0)
            for index in 0..<40 { _ = try folder.write([], to: "\(layer)/\(index)") }
        }
        #expect(identity("rw,lowerdir=\(base)/big1") != identity("rw,lowerdir=\(base)/big2"))
    }

    @Test func `files of reproducible builds differ by their contents, whatever size and time they have`() throws {
        var listings: [TreeListing] = []
        for (layer, text) in [("v1", "one"), ("v2", "two")] {
            #expect(unsafe mkdir("\(base)/\(layer)", 0o755) == 0)
            let path = try folder.write(Array(text.utf8), to: "\(layer)/file")
            var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
            #expect(unsafe utimensat(AT_FDCWD, path, &times, 0) == 0)
            listings.append(try TreeListing(of: FilePath("\(base)/\(layer)")))
        }
        #expect(listings[0] != listings[1])
        #expect(try TreeListing(of: FilePath("\(base)/v1")) == listings[0])
    }

    @Test func `spaces and commas of paths are understood`() {
        #expect(identity("rw,lowerdir=\(base)/with\\040space") != nil)
        #expect(unsafe mkdir("\(base)/a,b:c", 0o755) == 0)
        #expect(identity("rw,lowerdir=\(base)/a\\054b\\134:c:\(base)/one") != nil)
    }

    @Test(
        arguments: [
            "rw", "rw,lowerdir=", "rw,lowerdir=l/RELATIVE", "rw,lowerdir=/nonexistent", "rw,lowerdir=/etc/passwd",
            "rw,lowerdir=/,upperdir=up", "rw,lowerdir=/,datadir+=/",
        ]
    )
    func `folders that cannot be seen give no identity`(options: String) {
        #expect(identity(options) == nil)
    }

    @Test func `only an overlay has an identity`() {
        #expect(identity("rw,lowerdir=/", type: "ext4") == nil)
        #expect(identity("rw,lowerdir=/", at: "/other") == nil)
        #expect(OverlayIdentity(of: FilePath(base)) == nil)
    }
}
