// SPDX-License-Identifier: Apache-2.0

import JSON
import Machine
import Snapshot

/// The input is a byte, then the file `state` of a snapshot or, where the byte is odd, its JSON alone: no mutation has a right
/// checksum.
enum SnapshotFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        let isJSON = input.byte() & 1 != 0
        let text = input.rest
        func bytes(_ part: StateFile.Part) throws(SnapshotError) -> [UInt8] {
            try StateFile.bytes(of: part, "state", byteCount: UInt64(text.count)) { offset, count in
                precondition(offset >= 0 && count >= 0 && offset + count <= text.count)
                return Array(text[offset..<offset + count])
            }
        }
        do throws(SnapshotError) {
            let json = isJSON ? text : try bytes(.json)
            if !isJSON { _ = try bytes(.console) }
            let machine = try StateFile.value(of: json, as: SavedMachine.self, path: "state")
            _ = machine.memory.parts
            _ = try? machine.vcpus.first?.savedCPUID()
            guard let again = try? JSONValue(encoding: machine) else { preconditionFailure("it was JSON") }
            precondition((try? again.decode(as: SavedMachine.self)) == machine)
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}
