// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// A new machine's folder with this process in it: it holds the lock, its messages go to the log, and a command waits for it.
package struct SettledMachine: Sendable {
    package let folder: MachineFolder
    package let tenure: MachineTenure
    /// The socket of the folder, for the server.
    package let listeningDescriptor: CInt
    private let report: SuccessorProcess.Report

    init(
        _ folder: MachineFolder,
        _ hold: MachineFolder.Hold,
        _ report: SuccessorProcess.Report
    ) throws(RegistryError) {
        (self.folder, self.report) = (folder, report)
        listeningDescriptor = dup(hold.listener.descriptor.rawValue)
        tenure = try MachineTenure(hold, folder: folder.path)
        try Self.writeMessages(to: folder)
    }

    /// Ends the command that waits: the machine runs.
    ///
    /// - Parameter notes: What its user should know.
    package func reportStart(_ notes: [String]) {
        report.tell(messages: notes.map(Messages.line).joined(), answer: "\(folder.name)\n")
    }

    /// Ends the command that waits, when nothing is left of the machine; the machine's log takes a reason that comes later.
    ///
    /// Of threads that fail at once the first gives the reason: what the others miss may be the folder that it removes.
    package func reportFailure(_ reason: String) {
        if !Self.reportFailure(reason, report, after: { try? tenure.removeFolder() }) { Messages.write(reason) }
    }

    @discardableResult
    static func reportFailure(
        _ reason: String,
        _ report: SuccessorProcess.Report,
        after prepare: () -> Void = {}
    ) -> Bool {
        report.tell(status: 1, messages: "Error: \(printable(reason, keepsLines: true))\n", after: prepare)
    }

    private static func writeMessages(to folder: MachineFolder) throws(RegistryError) {
        do throws(Errno) {
            let log = try folder.makeLog()
            for output in [STDOUT_FILENO, STDERR_FILENO] where dup2(log.rawValue, output) < 0 {
                throw Errno(rawValue: errno)
            }
        } catch {
            throw RegistryError("cannot write messages to \(folder.path(.monitorLog)): \(error)")
        }
    }
}
