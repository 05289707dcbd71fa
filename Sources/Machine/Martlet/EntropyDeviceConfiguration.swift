// SPDX-License-Identifier: Apache-2.0

/// A source of random numbers for the guest (virtio-entropy), which gets the host's.
public struct EntropyDeviceConfiguration: Hashable, Sendable {
    /// How fast random numbers may be taken; `nil` for as fast as the host makes them.
    public var rateLimit: RateLimit?

    /// Describes the device.
    ///
    /// - Parameter rateLimit: How fast random numbers may be taken; `nil` for as fast as the host makes them.
    public init(rateLimit: RateLimit? = nil) {
        self.rateLimit = rateLimit
    }
}
