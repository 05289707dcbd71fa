// SPDX-License-Identifier: Apache-2.0

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
