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
    private func value(_ text: [UInt8]) throws -> Sample {
        try StateFile.value(of: text, as: Sample.self, path: "state")
    }

    @Test func `a value comes back, behind a first line that says what it is`() throws {
        let text = try StateFile.text(of: Sample())
        #expect(String(decoding: text, as: UTF8.self).hasPrefix("martlet-snapshot 1.0 crc32c="))
        #expect(try value(text) == Sample())
    }

    @Test func `every changed and every missing byte is found`() throws {
        let text = try StateFile.text(of: Sample())
        for index in text.indices {
            var changed = text
            changed[index] ^= 1
            #expect(throws: SnapshotError.self) { try value(changed) }
            #expect(throws: SnapshotError.self) { try value(Array(text[..<index])) }
        }
        #expect(throws: SnapshotError.self) { try value(text + [0x20]) }
    }

    @Test func `a newer format is refused with what to do`() throws {
        let text = String(decoding: try StateFile.text(of: Sample()), as: UTF8.self)
        for (version, major, minor) in [("1.1", 1, 1), ("2.0", 2, 0), ("0.9", 0, 9)] {
            let other = text.replacing("snapshot 1.0", with: "snapshot \(version)")
            #expect(throws: SnapshotError.version(major: major, minor: minor)) { try value(Array(other.utf8)) }
        }
        #expect("\(SnapshotError.version(major: 1, minor: 1))".contains("a newer one"))
    }

    @Test(arguments: [
        "", "\n", "martlet-snapshot", "martlet-snapshot x crc32c=0 bytes=0\n", "martlet-snapshot 1.0 bytes=0\n",
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
