// SPDX-License-Identifier: Apache-2.0

import HTTP
package import JSON

extension JSONValue {
    /// The JSON of a part of a description; it always exists, because no number in it is infinite.
    package static func encoding(_ value: some Encodable) -> JSONValue { (try? JSONValue(encoding: value)) ?? .null }
}

extension HTTPResponse {
    /// 200 with a JSON body.
    static func json(_ value: JSONValue) -> HTTPResponse {
        HTTPResponse(200, body: Array(value.text.utf8))
    }

    /// An error as Firecracker's clients read it.
    static func fault(_ error: APIError, _ dialect: APIDialect) -> HTTPResponse {
        let body: JSONValue = ["fault_message": .string(error.text(dialect))]
        return HTTPResponse(
            error.status,
            headers: error.isDeprecated ? deprecation : [:],
            body: Array(body.text.utf8)
        )
    }

    static var done: HTTPResponse { HTTPResponse(204) }

    /// The header that marks a deprecated field of Firecracker's.
    static let deprecation: HTTPHeaders = ["Deprecation": "true"]
}
