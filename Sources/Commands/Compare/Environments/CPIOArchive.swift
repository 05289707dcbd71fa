// SPDX-License-Identifier: Apache-2.0

/// An archive that a Linux kernel unpacks into memory at boot: "newc" cpio, of which
/// Documentation/driver-api/early-userspace/buffer-format.rst has the format.
struct CPIOArchive {
    private var bytes: [UInt8] = []
    private var entryCount: UInt32 = 0

    mutating func addFolder(_ path: String) {
        add(path, mode: 0o040755)
    }

    mutating func addProgram(_ path: String, _ contents: [UInt8]) {
        add(path, mode: 0o100755, contents)
    }

    mutating func addCharacterDevice(_ path: String, major: UInt32, minor: UInt32) {
        add(path, mode: 0o020600, device: (major, minor))
    }

    /// The whole archive, with its trailer.
    consuming func finished() -> [UInt8] {
        add("TRAILER!!!", mode: 0)
        return bytes
    }

    private mutating func add(
        _ path: String,
        mode: UInt32,
        _ contents: [UInt8] = [],
        device: (UInt32, UInt32) = (0, 0)
    ) {
        entryCount += 1
        let nameSize = UInt32(path.utf8.count + 1)
        // inode mode uid gid links mtime size, device, device of a node, name size, checksum (none)
        let fields = [
            entryCount, mode, 0, 0, 1, 0, UInt32(contents.count), 0, 0, device.0, device.1, nameSize, 0,
        ]
        bytes += "070701".utf8
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes += (String(repeating: "0", count: 8 - digits.count) + digits).utf8
        }
        bytes += path.utf8
        bytes.append(0)
        pad()
        bytes += contents
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
