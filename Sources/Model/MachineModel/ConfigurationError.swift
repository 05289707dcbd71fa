// SPDX-License-Identifier: Apache-2.0

/// A field of a machine's description that has a value which cannot be.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field, as it is named in JSON: `machine-config.vcpu_count`, `drives[1].martlet.serial`.
    public let field: String

    /// The wrong value and the right ones, in words.
    public let problem: String

    /// Describes a wrong value.
    ///
    /// - Parameters:
    ///   - field: The field, as it is named in JSON.
    ///   - problem: The wrong value and the right ones, in words.
    public init(_ field: String, _ problem: String) {
        (self.field, self.problem) = (field, problem)
    }

    /// The field and its problem.
    public var description: String { "\(field): \(problem)" }

    /// The error of a field whose value asks for something that Firecracker has and Martlet lacks.
    static func notOffered(_ field: String, _ what: String) -> ConfigurationError {
        ConfigurationError(field, "Martlet does not offer \(what)")
    }
}
