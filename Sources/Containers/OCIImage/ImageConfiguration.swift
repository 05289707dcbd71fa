// SPDX-License-Identifier: Apache-2.0

package import JSON

/// The settings of an image for its program.
package struct ImageConfiguration: Hashable, Sendable {
    package var entrypoint: [String] = []
    package var command: [String] = []
    package var environment: [String] = []
    package var user = ""
    package var folder = ""
    package var stopSignal = ""

    package init() {}

    package init(_ json: JSONValue) {
        entrypoint = json["Entrypoint"].elements.compactMap(\.string)
        command = json["Cmd"].elements.compactMap(\.string)
        environment = json["Env"].elements.compactMap(\.string)
        user = json["User"].string ?? ""
        folder = json["WorkingDir"].string ?? ""
        stopSignal = json["StopSignal"].string ?? ""
    }
}
