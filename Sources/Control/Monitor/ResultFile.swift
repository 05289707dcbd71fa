// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON
import Logging
import Machine
import MachineAPI
import SystemPackage

/// The file that tells how a machine ended when its process is gone.
struct ResultFile {
    let path: FilePath

    /// Writes all of it or nothing.
    func write(_ outcome: MachineOutcome, _ logger: Logger) {
        var object = outcome.json
        object["ended_at"] = .string("\(Timestamp.now)")
        object["ended_at_ms"] = .integer(Timestamp.now.millisecondsSinceEpoch)
        let temporary = FilePath(path.string + ".new")
        do {
            let file = try FileDescriptor.open(
                temporary,
                .writeOnly,
                options: [.create, .truncate, .closeOnExec, .noFollow],
                permissions: .ownerReadWrite
            )
            try file.closeAfter { _ = try file.writeAll((JSONValue.object(object).text + "\n").utf8) }
            let result = unsafe temporary.withPlatformString { from in
                unsafe path.withPlatformString { unsafe rename(from, $0) }
            }
            if result != 0 { throw Errno(rawValue: errno) }
        } catch {
            logger.error("the machine's end cannot be written to \(path): \(error)")
        }
    }
}
