// SPDX-License-Identifier: Apache-2.0

import JSON
package import MachineModel

/// A request that cannot be carried out: becomes a response with a `fault_message`, as Firecracker's clients expect.
package struct APIError: Error, Hashable, CustomStringConvertible {
    /// The status of the response.
    package var status = 400
    /// The error, in words.
    package let description: String

    package init(_ description: String, status: Int = 400) {
        self.description = description
        self.status = status
    }

    init(_ error: JSONError) {
        self.init("An error occurred when deserializing the json body of a request: \(error).")
    }

    package init(_ error: ConfigurationError) {
        self.init(error.description)
    }

    static let afterStart = APIError("The requested operation is not supported after starting the microVM.")
    static let beforeStart = APIError("The requested operation is not supported before starting the microVM.")

    /// For what Firecracker has and Martlet has not.
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

/// Calls `body`, whose errors are about a JSON value, and says them as the API does.
func inAPITerms<R>(_ body: () throws(JSONError) -> R) throws(APIError) -> R {
    do throws(JSONError) {
        return try body()
    } catch {
        throw APIError(error)
    }
}
