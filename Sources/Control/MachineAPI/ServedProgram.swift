// SPDX-License-Identifier: Apache-2.0

package import Host
package import JSON

/// The program in the guest that a machine runs for: the machine ends with it, and with its status.
package protocol ServedProgram: Sendable {
    /// The program, for clients.
    var json: JSONValue { get }

    /// Asks the program to end, by its signal; one that does not run yet gets it at its start.
    func stop()

    /// Sets the size of the program's terminal, which is the machine's console; once it runs, where it does not yet.
    ///
    /// - Returns: False where the program has no terminal there.
    func resizeTerminal(to size: Terminal.Size) -> Bool

    /// Called when the machine has ended.
    ///
    /// - Returns: The end of the program, where it has one, in its place.
    func end(with result: MachineResult) -> MachineResult
}
