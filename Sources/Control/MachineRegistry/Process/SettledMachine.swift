// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// A new machine's folder with this process in it: it holds the lock, its messages go to the log.
package struct SettledMachine {
    package let folder: MachineFolder
    package let tenure: MachineTenure
    /// The socket of the folder, for whoever adopts it.
    package let listeningDescriptor: CInt

    init(_ folder: MachineFolder, _ hold: MachineFolder.Hold) throws(RegistryError) {
        self.folder = folder
        listeningDescriptor = withExtendedLifetime(try folder.listen()) { dup($0.descriptor.rawValue) }
        tenure = try MachineTenure(hold, folder: folder.path)
        try Self.writeMessages(to: folder)
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
