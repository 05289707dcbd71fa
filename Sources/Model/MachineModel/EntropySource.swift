// SPDX-License-Identifier: Apache-2.0

/// A source of random numbers for the guest (virtio-entropy), which gets the host's: `/entropy` of the API.
public struct EntropySource: Codable, Hashable, Sendable {
    /// The limit of the speed at which random numbers are taken; `nil` for none.
    public var rateLimit: RateLimit?

    enum CodingKeys: String, CodingKey {
        case rateLimit = "rate_limiter"
    }

    /// Describes the device.
    ///
    /// - Parameter rateLimit: The limit of the speed at which random numbers are taken; `nil` for none.
    public init(rateLimit: RateLimit? = nil) {
        self.rateLimit = rateLimit
    }
}
