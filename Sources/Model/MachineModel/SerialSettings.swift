// SPDX-License-Identifier: Apache-2.0

/// The output of the serial console: `/serial` of the API.
public struct SerialSettings: Codable, Hashable, Sendable {
    /// A file, created if missing and appended to, or a named pipe.
    public var outputPath: String?

    /// A token for each byte that the guest sends; Martlet drops what is beyond.
    public var rateLimit: RateLimit.Bucket?

    enum CodingKeys: String, CodingKey {
        case outputPath = "serial_out_path"
        case rateLimit = "rate_limiter"
    }

    /// Describes the output.
    ///
    /// - Parameters:
    ///   - outputPath: A file, created if missing and appended to, or a named pipe.
    ///   - rateLimit: A token for each byte that the guest sends.
    public init(outputPath: String? = nil, rateLimit: RateLimit.Bucket? = nil) {
        (self.outputPath, self.rateLimit) = (outputPath, rateLimit)
    }
}

extension SerialSettings {
    /// Checks the path.
    package func validate(at place: String = "serial") throws(ConfigurationError) {
        try outputPath?.validateAsPath(at: "\(place).serial_out_path")
    }
}
