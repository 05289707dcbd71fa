// SPDX-License-Identifier: Apache-2.0

import Host
import Snapshot
import SystemPackage
import TestSupport
import Testing

struct Sample: Codable, Hashable {
    /// A disk of the machine, as `SavedDisk` has it.
    struct Disk: Codable, Hashable {
        var drive_id = "root"
        var copied = true
    }

    var disks = [Disk()]
    var name = "vm"
    var count = 7
    var blob = Base64([1, 2, 3])
}

@Suite struct StateFileTests {
    private func bytes(_ part: StateFile.Part, _ text: [UInt8]) throws -> [UInt8] {
        try StateFile.bytes(of: part, "state", byteCount: UInt64(text.count)) {
            offset,
            count throws(SnapshotError) in
            guard offset >= 0, count >= 0, offset + count <= text.count else {
                throw .file(operation: "read", "state", .ioError)
            }
            return Array(text[offset..<offset + count])
        }
    }

    private func value(_ text: [UInt8]) throws -> Sample {
        try StateFile.value(of: bytes(.json, text), as: Sample.self, path: "state")
    }

    @Test func `a value and the console come back, behind a first line that says what they are`() throws {
        let text = try StateFile.text(of: Sample(), console: [10, 0, 255])
        #expect(String(decoding: text, as: UTF8.self).hasPrefix("martlet-snapshot 1.2 crc32c="))
        #expect(try value(text) == Sample())
        #expect(try bytes(.console, text) == [10, 0, 255])
    }

    @Test func `a file of format 1.0, which has the console in the JSON, is read`() throws {
        let json = #"{"disks":[],"name":"old","count":1,"blob":"AQID"}"#
        let text = Array("martlet-snapshot 1.0 crc32c=f36bff52 bytes=\(json.utf8.count)\n\(json)".utf8)
        #expect(try value(text) == Sample(disks: [], name: "old", count: 1))
        #expect(try bytes(.console, text).isEmpty)
    }

    @Test func `every changed and every missing byte is found`() throws {
        let console = Array("hello\n".utf8)
        let text = try StateFile.text(of: Sample(), console: console)
        func isRefused(_ changed: [UInt8]) -> Bool {
            (try? value(changed)) == nil || (try? bytes(.console, changed)) == nil
        }
        #expect(!isRefused(text))
        for index in text.indices {
            var changed = text
            changed[index] ^= 1
            #expect(isRefused(changed))
            #expect(throws: SnapshotError.self) { try value(Array(text[..<index])) }
            #expect(throws: SnapshotError.self) { try bytes(.console, Array(text[..<index])) }
        }
        #expect(throws: SnapshotError.self) { try value(text + [0x20]) }
    }

    @Test(arguments: [
        "bytes=0", "crc32c=00000000 bytes=-1",
        "crc32c=00000000 bytes=9223372036854775807 console_crc32c=00000000 console_bytes=1",
        "crc32c=00000000 bytes=0 console_crc32c=00000000", "crc32c=0 bytes=0 console_crc32c=0 console_bytes=0",
        "crc32c=00000000 bytes=00 console_crc32c=00000000 console_bytes=0 more",
    ])
    func `a first line of other words is refused`(words: String) {
        #expect(throws: SnapshotError.self) { try bytes(.json, Array("martlet-snapshot 1.1 \(words)\n".utf8)) }
        #expect(throws: SnapshotError.self) { try bytes(.json, Array("martlet-snapshot 1.0 \(words)\n".utf8)) }
    }

    @Test func `a newer format is refused with what to do`() throws {
        let text = String(decoding: try StateFile.text(of: Sample()), as: UTF8.self)
        for (version, major, minor) in [("1.3", 1, 3), ("2.0", 2, 0), ("0.9", 0, 9)] {
            let other = text.replacing("snapshot 1.2", with: "snapshot \(version)")
            #expect(throws: SnapshotError.version(major: major, minor: minor)) { try value(Array(other.utf8)) }
        }
        #expect("\(SnapshotError.version(major: 1, minor: 2))".contains("a newer one"))
    }

    @Test(arguments: [
        "", "\n", "martlet-snapshot", "martlet-snapshot x crc32c=0 bytes=0\n", "martlet-snapshot 1.1 bytes=0\n",
    ])
    func `any other text is no snapshot`(text: String) {
        #expect {
            try value(Array(text.utf8))
        } throws: { error in
            guard case SnapshotError.notASnapshot = error else { return false }
            return true
        }
    }

    @Test func `a member that this version does not know is an error`() throws {
        struct Newer: Encodable {
            var name = "vm"
            var count = 7
            var blob = Base64([])
            var surprise = true
        }
        let text = try StateFile.text(of: Newer())
        #expect {
            try value(text)
        } throws: { error in
            "\(error)".contains("surprise")
        }
    }
}
