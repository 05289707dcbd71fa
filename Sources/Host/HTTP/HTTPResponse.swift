// SPDX-License-Identifier: Apache-2.0

/// A response, whole.
package struct HTTPResponse: Hashable, Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    /// The body; empty where there is none.
    package var body: [UInt8]

    /// Makes a response.
    ///
    /// The server itself adds Server, Connection and Content-Length. The body is JSON, unless `headers` has another Content-
    /// Type.
    package init(_ status: Int, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        (self.status, self.headers, self.body) = (status, headers, body)
    }

    /// The answer to an invalid request, with a body as Firecracker's errors have it.
    init(_ fault: HTTPFault) {
        self.init(fault.status, body: Array("{\"fault_message\":\"\(fault.description)\"}".utf8))
    }

    /// The meaning of the status (RFC 9110, 15); empty for those that are not used here.
    package var reason: String {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }

    /// The bytes that a server sends.
    ///
    /// - Parameters:
    ///   - style: The form of the server's answers.
    ///   - connection: The value of the Connection field.
    ///   - hasBody: False for the answer to HEAD, which has only the length of the body.
    /// - Returns: Head and body.
    package func encoded(_ style: HTTPServerStyle, connection: String, hasBody: Bool = true) -> [UInt8] {
        var fields = headers
        fields["Server"] = style.name
        fields["Connection"] = connection
        fields["Content-Length"] = nil
        let mayHaveBody = status >= 200 && status != 204 && status != 304
        if mayHaveBody {
            if !body.isEmpty, fields["Content-Type"] == nil { fields["Content-Type"] = "application/json" }
            fields["Content-Length"] = String(body.count)
        }
        var bytes = Array("HTTP/1.1 \(status) \(style.hasReasons ? reason : "")\r\n".utf8)
        for field in fields.fields {
            // A value that came from somewhere must not end the field.
            bytes += "\(field.name): ".utf8
            bytes += field.value.utf8.map { ASCII.isFieldValue($0) ? $0 : UInt8(ascii: " ") }
            bytes += "\r\n".utf8
        }
        bytes += "\r\n".utf8
        return mayHaveBody && hasBody ? bytes + body : bytes
    }
}
