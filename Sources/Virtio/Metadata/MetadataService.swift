// SPDX-License-Identifier: Apache-2.0

package import JSON
package import MachineModel
import Synchronization

/// The data that a machine's guest can ask for at 169.254.169.254: Firecracker's microVM metadata service.
///
/// One for all interfaces of a machine. The host's side replaces and changes the data, the guest's reads it.
package final class MetadataService: Sendable {
    struct State {
        /// `nil` until the host has given it for the first time.
        var data: JSONValue?
        var version = MetadataConfiguration.Version.v1
        /// Indicates whether answers are as EC2's service gives them, whatever a client accepts.
        var isCompatible = false
        var tokens = MetadataTokens()
        var statistics = MetadataStatistics()
        var limit: Int
    }

    let state: Mutex<State>

    /// The usual limit of the data, in bytes of JSON.
    package static let usualLimit = 51_200

    /// - Parameter limit: The limit of the data, in bytes of JSON.
    package init(limit: Int = MetadataService.usualLimit) { state = Mutex(State(limit: limit)) }

    // MARK: - The host's side

    /// Changes how guests are answered.
    package func configure(_ configuration: MetadataConfiguration) {
        state.withLock { state in
            state.version = configuration.version
            state.isCompatible = configuration.isCompatible
        }
    }

    /// The data; an empty object where there is none yet.
    package var value: JSONValue {
        state.withLock { $0.data ?? .object([:]) }
    }

    /// Replaces the data.
    package func replace(by value: JSONValue) throws(MetadataError) {
        try state.withLock { state throws(MetadataError) in
            guard value.text.utf8.count <= state.limit else { throw .tooLarge }
            state.data = value
        }
    }

    /// Changes the data by a merge patch (RFC 7396), or not at all.
    ///
    /// - Throws: `MetadataError` where there is none, and where it would be too large.
    package func merge(_ patch: JSONValue) throws(MetadataError) {
        try state.withLock { state throws(MetadataError) in
            guard let data = state.data else { throw .notInitialized }
            let merged = Self.merged(data, patch)
            guard merged.text.utf8.count <= state.limit else { throw .tooLarge }
            state.data = merged
        }
    }

    private static func merged(_ value: JSONValue, _ patch: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var result = JSONObject()
        if case .object(let object) = value { result = object }
        for name in changes.names {
            let change = changes[name] ?? .null
            // A plain nil would be the value null.
            result[name] = change == .null ? Optional.none : merged(result[name] ?? .null, change)
        }
        return .object(result)
    }

    /// The counters so far.
    package var statistics: MetadataStatistics { state.withLock { $0.statistics } }

    func count(_ change: (inout MetadataStatistics) -> Void) { state.withLock { change(&$0.statistics) } }
}

/// The counters of the metadata service, for Firecracker's metrics.
package struct MetadataStatistics: Hashable, Sendable {
    /// Frames of the guest's for the service, and those among them that are not Ethernet, ARP, IPv4 or TCP as they should be.
    package var receivedFrames: UInt64 = 0
    package var unusualFrames: UInt64 = 0
    /// Frames and bytes for the guest.
    package var sentFrames: UInt64 = 0
    package var sentBytes: UInt64 = 0
    /// Requests without a token, and with one that is not valid.
    package var missingTokens: UInt64 = 0
    package var invalidTokens: UInt64 = 0
    package var connectionsCreated: UInt64 = 0
    package var connectionsDestroyed: UInt64 = 0

    package init() {}
}

/// The reason why the metadata store refuses a change, in Firecracker's words.
package enum MetadataError: Error, Hashable, CustomStringConvertible {
    /// Nothing is stored that could be changed.
    case notInitialized
    /// The data would be larger than the store's limit.
    case tooLarge
    /// A token's life is not 1 second to 6 hours.
    case badLifetime(UInt32)

    package var description: String {
        switch self {
        case .notInitialized: "The MMDS data store is not initialized."
        case .tooLarge: "The MMDS patch request doesn't fit."
        case .badLifetime(let seconds):
            "Invalid time to live value provided for token: \(seconds). Please provide a value between 1 and 21600."
        }
    }
}
