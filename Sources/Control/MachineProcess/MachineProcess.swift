// SPDX-License-Identifier: Apache-2.0

import Host
package import Machine
import MachineAPI
package import MachineRegistry
package import MachineSession
import SystemPackage

/// The process of a machine that commands know by its folder: a session that writes its end down there.
package struct MachineProcess {
    package var settings = SessionSettings()
    /// The process's hold of the machine's folder; `nil` where it has none.
    package var tenure: MachineTenure?
    /// The file that tells how the machine ended; `nil` for none.
    package var resultFile: ResultFile?
    /// Indicates whether the folder goes with the process.
    package var isRemovedAtEnd = false

    package init() {}

    /// Runs the machine to its end.
    ///
    /// - Parameters:
    ///   - start: The machine; `nil` for one that is described over the API.
    ///   - prepare: Called before the first request, on the thread that carries requests out.
    ///   - onServing: Called with the notes about the machine when it runs, or was described, and its requests are served.
    /// - Returns: The exit status; does not return when a signal ended the machine.
    /// - Throws: The reason why it cannot start.
    package func run(
        _ start: @autoclosure () throws -> MachineStart?,
        beforeRequests prepare: (@Sendable () -> Void)? = nil,
        onServing: @escaping @Sendable (_ notes: [String]) -> Void = { _ in }
    ) throws -> UInt8 {
        let isConfined = settings.sandbox.isConfined
        let session = MachineSession(
            settings,
            onEnd: { [resultFile] result in
                do throws(Errno) {
                    try resultFile?.write(result)
                } catch {
                    Messages.write("error: the machine's end cannot be written to its result file: \(error)")
                }
            },
            onExit: { [self] result in
                // The clients have their answers by now, or hold the files that they want to read. Of a machine that never was,
                // because the command that wanted it is gone, nothing stays.
                let isAbandoned = result == nil && settings.endsWhenUnused
                guard isRemovedAtEnd || isAbandoned else { return }
                // The next command sweeps it away where this process may not.
                if isConfined || !isRemovedAtEnd { try? tenure?.removeFolder() } else { try tenure?.removeFolder() }
            }
        )
        if let prepare { session.beforeRequests(prepare) }
        return try session.run(try start(), onServing: onServing)
    }
}
