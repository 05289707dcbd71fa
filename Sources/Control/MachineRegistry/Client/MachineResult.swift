// SPDX-License-Identifier: Apache-2.0

package import JSON

/// How a machine ended.
package struct MachineResult: Hashable, Sendable {
    /// One word, such as `powered-off` or `panicked`.
    package let outcome: String
    package let exitStatus: UInt8
    /// What its user should read, if anything.
    package let message: String?

    package init(_ value: JSONValue) throws(RegistryError) {
        guard
            case .object(let object) = value, case .string(let outcome) = object["outcome"],
            case .integer(let status) = object["exit_status"], let exitStatus = UInt8(exactly: status)
        else { throw RegistryError("it is not known how the machine ended: its result is none") }
        self.outcome = outcome
        self.exitStatus = exitStatus
        message = if case .string(let text) = object["message"] { text } else { nil }
    }
}
