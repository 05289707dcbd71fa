// SPDX-License-Identifier: Apache-2.0

import HTTP
import Host
package import JSON
import Logging
import MachineModel
package import Metadata
package import SystemPackage

/// The metadata service: its configuration before the start, its data at any time.
extension MachineService {
    func setMetadataService(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        try checkConfigurable()
        let service: MetadataConfiguration = try request.body(named: "mmds-config")
        let interfaces = snapshot.configuration.networkInterfaces
        try inAPITerms { () throws(ConfigurationError) in try service.validate(interfaces) }
        change { $0.configuration.metadataService = service }
        guard service.version == .v1 else { return .done }
        return deprecated(request, "/mmds/config: V1 is deprecated. Use V2 instead.")
    }

    func metadataValue() -> JSONValue { metadata.value }

    func replaceMetadata(_ request: RoutedRequest) throws(APIError) {
        try changeMetadata(request) { value throws(MetadataError) in try metadata.replace(by: value) }
    }

    func mergeMetadata(_ request: RoutedRequest) throws(APIError) {
        try changeMetadata(request) { value throws(MetadataError) in try metadata.merge(value) }
    }

    private func changeMetadata(
        _ request: RoutedRequest,
        _ change: (JSONValue) throws(MetadataError) -> Void
    ) throws(APIError) {
        let path = request.request.pathSegments.filter { !$0.isEmpty }
        guard path.count == 1 else {
            throw APIError("Unrecognized \(request.request.method) request path `\(path[1])`.")
        }
        guard !request.request.body.isEmpty else { throw APIError("Empty \(request.request.method) request.") }
        let value = try inAPITerms(of: request.request.body) { () throws(JSONError) in
            try JSONValue(parsing: request.request.body)
        }
        do throws(MetadataError) {
            try change(value)
        } catch {
            throw APIError("\(error)", status: error == .tooLarge ? 413 : 400)
        }
    }
}

/// The first data of a metadata service.
package enum MetadataFile {
    /// Reads a file, as the body of `PUT /mmds`.
    package static func value(of path: FilePath) throws(APIError) -> JSONValue {
        let service = MetadataService()
        try service.read(path, limit: MetadataService.usualLimit)
        return service.value
    }
}

extension MetadataService {
    /// Takes the first data from a file.
    ///
    /// - Parameters:
    ///   - path: A file of JSON.
    ///   - limit: The largest file that is read, in bytes, unless that is a mebibyte.
    /// - Throws: `APIError`, which names the file.
    package func read(_ path: FilePath, limit: Int) throws(APIError) {
        var firecracker = "Unable to open or read from the mmds content file"
        do {
            // Spaces between the values do not count.
            let bytes = try FileContents.bytes(of: path, limit: max(1 << 20, limit))
            firecracker = "MMDS error: metadata provided not valid json"
            let value: JSONValue
            do throws(JSONError) {
                value = try JSONValue(parsing: bytes)
            } catch {
                throw APIError("\(error)", firecracker: FirecrackerWords.words(of: error, in: bytes))
            }
            firecracker = "Populating MMDS from file failed"
            try replace(by: value)
        } catch {
            let words = (error as? APIError)?.text(.firecracker) ?? "\(error)"
            throw APIError(
                "the metadata of \(path): \(error)",
                firecracker: "\(firecracker): \(words)",
                status: error as? MetadataError == .tooLarge ? 413 : 400
            )
        }
    }
}
