// SPDX-License-Identifier: Apache-2.0

import HTTP
import Host
import JSON
import Logging
import MachineModel
package import Metadata
package import SystemPackage

/// The metadata service: how guests reach it before the start, its data at any time.
extension MachineService {
    func setMetadataService(_ request: RoutedRequest) throws(APIError) -> HTTPResponse? {
        try checkConfigurable()
        let service: MetadataConfiguration = try request.body(named: "mmds-config")
        let interfaces = snapshot.configuration.networkInterfaces
        try inAPITerms { () throws(ConfigurationError) in try service.validate(interfaces) }
        change { $0.configuration.metadataService = service }
        guard service.version == .v1 else { return .done }
        requests.countDeprecated()
        logger.warning("PUT /mmds/config: V1 is deprecated. Use V2 instead.")
        return HTTPResponse(204, headers: ["Deprecation": "true"])
    }

    /// Makes a metadata service.
    ///
    /// - Parameters:
    ///   - path: A file of JSON with its first data; `nil` for none.
    ///   - limit: The limit of its data in bytes of JSON; `nil` for the usual one.
    /// - Returns: The service.
    /// - Throws: `APIError`, which names the file.
    package static func metadata(of path: FilePath?, limit: Int?) throws(APIError) -> MetadataService {
        let limit = limit ?? MetadataService.usualLimit
        let service = MetadataService(limit: limit)
        guard let path else { return service }
        do {
            // Spaces between the values do not count.
            let bytes = try FileContents.bytes(of: path, limit: max(1 << 20, limit))
            try service.replace(by: try JSONValue(parsing: bytes))
        } catch {
            throw APIError("the metadata of \(path): \(error)")
        }
        return service
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
        guard !request.request.body.isEmpty else { throw APIError("Empty \(request.request.method) request.") }
        let value = try inAPITerms { () throws(JSONError) in try JSONValue(parsing: request.request.body) }
        do throws(MetadataError) {
            try change(value)
        } catch {
            throw APIError("\(error)", status: error == .tooLarge ? 413 : 400)
        }
    }
}
