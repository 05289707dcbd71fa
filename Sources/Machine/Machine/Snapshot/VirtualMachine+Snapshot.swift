// SPDX-License-Identifier: Apache-2.0

package import MachineModel
package import SystemPackage

extension VirtualMachine {
    /// The description that the machine was made of.
    package var configuration: MachineConfiguration { parts.configuration }

    /// Saves the machine; one that runs goes on after it, one that is paused stays so.
    ///
    /// - Parameters:
    ///   - path: The snapshot's folder, in one that exists.
    ///   - isReplacing: Whether a snapshot that is there may be replaced.
    ///   - isStopping: Whether the machine ends then, without another step.
    ///   - completion: Called from a thread of the machine's, with what kept the machine from being saved. Then nothing has
    ///     changed.
    package func save(
        to path: FilePath,
        replacing isReplacing: Bool = false,
        thenStop isStopping: Bool = false,
        _ completion: @escaping @Sendable (Result<Void, MachineError>) -> Void
    ) {
        whileStanding(completion) { [self] () throws(MachineError) in
            try parts.save(to: path, replacing: isReplacing)
            if isStopping { stop() }
        }
    }

    /// Like `save(to:replacing:_:)`, until all is on the disk.
    package func save(to path: FilePath, replacing isReplacing: Bool = false) async throws(MachineError) {
        try await withCheckedContinuation { continuation in
            save(to: path, replacing: isReplacing) { continuation.resume(returning: $0) }
        }.get()
    }
}
