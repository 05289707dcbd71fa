// SPDX-License-Identifier: Apache-2.0

import JSON
import Machine
package import MachineModel
import Snapshot

/// The error of a request: becomes a response with a `fault_message`, as Firecracker's clients expect.
package struct APIError: Error, Hashable, CustomStringConvertible {
    /// The status of the response.
    package var status = 400
    /// The error, in words.
    package let description: String
    /// Indicates whether the request had a deprecated field of Firecracker's.
    var isDeprecated = false
    /// Firecracker's words for the error, where they differ.
    private var firecrackerWords: String?

    package init(_ description: String, firecracker: String? = nil, status: Int = 400) {
        self.description = description
        self.status = status
        firecrackerWords = firecracker
    }

    init(_ error: JSONError, in text: [UInt8] = []) {
        let beginning = "An error occurred when deserializing the json body of a request: "
        self.init(
            "\(beginning)\(error).",
            firecracker: FirecrackerWords.words(of: error, in: text).map { "\(beginning)\($0)." }
        )
    }

    package init(_ error: ConfigurationError) {
        self.init(error.description, firecracker: FirecrackerWords.words(of: error))
    }

    init(_ error: MachineError, restoring place: SnapshotPlace?) {
        self.init("\(error)", firecracker: FirecrackerWords.words(of: error, restoring: place))
    }

    /// The error in the words of a program.
    package func text(_ dialect: APIDialect) -> String {
        dialect == .firecracker ? firecrackerWords ?? description : description
    }

    static let afterStart = APIError("The requested operation is not supported after starting the microVM.")
    static let beforeStart = APIError("The requested operation is not supported before starting the microVM.")

    /// The error for a feature of Firecracker that Martlet does not have.
    static func notOffered(_ what: String) -> APIError {
        APIError("Martlet does not offer \(what).")
    }
}

/// Calls `body`, whose errors are about a description, and wraps them in `APIError`.
func inAPITerms<R>(_ body: () throws(ConfigurationError) -> R) throws(APIError) -> R {
    do throws(ConfigurationError) {
        return try body()
    } catch {
        throw APIError(error)
    }
}

/// Calls `body`, whose errors are about the JSON value of a text, and wraps them in `APIError`.
func inAPITerms<R>(of text: [UInt8] = [], _ body: () throws(JSONError) -> R) throws(APIError) -> R {
    do throws(JSONError) {
        return try body()
    } catch {
        throw APIError(error, in: text)
    }
}
