// SPDX-License-Identifier: Apache-2.0

package import JSON

/// A program in the guest that a machine is there for: the machine ends with it, and as it does.
package protocol ServedProgram: Sendable {
    /// The program, for clients.
    var json: JSONValue { get }

    /// Asks the program to end, by its signal; one that does not run yet hears it first of all.
    func stop()

    /// Hears that the machine has ended.
    ///
    /// - Parameter result: The end of the machine.
    /// - Returns: The end of the program, where it has one, in its place.
    func end(with result: MachineResult) -> MachineResult
}
