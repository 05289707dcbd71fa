// SPDX-License-Identifier: Apache-2.0

/// Connections between programs of the guest and of the host: `/vsock` of the API.
public struct Vsock: Codable, Hashable, Sendable {
    /// The guest's address, 3 or more.
    public var guestCID: UInt64

    /// The Unix socket that programs of the host connect to; it must not exist yet.
    ///
    /// Such a program writes `CONNECT` and a port of the guest. A connection of the guest to port N of the host goes to the
    /// socket whose path is this one with `_N` behind it. Where it is `nil`, neither reaches the other.
    public var path: String?

    /// A name that older clients of Firecracker give; without effect.
    package var id: String?

    /// Indicates whether addresses that the protocol reserves are taken as well, as Firecracker takes them.
    package var takesReservedCIDs = false

    enum CodingKeys: String, CodingKey {
        case guestCID = "guest_cid"
        case path = "uds_path"
        case id = "vsock_id"
    }

    /// The addresses that a guest may have.
    public static let guestCIDs: ClosedRange<UInt64> = 3...UInt64(UInt32.max) - 1

    /// Describes the connections; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - path: The Unix socket that programs of the host connect to.
    ///   - guestCID: The guest's address.
    public init(path: String?, guestCID: UInt64 = 3) {
        (self.path, self.guestCID) = (path, guestCID)
    }

    /// Checks address and path.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func validate(at place: String = "vsock") throws(ConfigurationError) {
        guard Self.guestCIDs.contains(guestCID) || takesReservedCIDs && guestCID <= UInt32.max else {
            throw ConfigurationError("\(place).guest_cid", "must be 3 to 4294967294, not \(guestCID)")
        }
        try path?.validateAsPath(at: "\(place).uds_path")
    }
}
