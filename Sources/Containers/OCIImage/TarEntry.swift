// SPDX-License-Identifier: Apache-2.0

/// The entry of an archive for a file.
package struct TarEntry: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case file
        /// Another name of a file that came before.
        case hardLink(to: String)
        case symbolicLink(to: String)
        case folder
        case characterDevice(major: UInt32, minor: UInt32)
        case blockDevice(major: UInt32, minor: UInt32)
        case pipe
    }

    /// The path, as `String(hostBytes:)` has it; the archive's author chose it.
    package var path: String
    package var kind: Kind
    package var mode: UInt32
    package var user: UInt32
    package var group: UInt32
    /// Seconds since 1970.
    package var time: Int64
    /// The number of bytes of data follow.
    package var byteCount: Int64
    package var attributes: [Attribute] = []

    /// An extended attribute.
    package struct Attribute: Hashable, Sendable {
        package let name: String
        package let value: [UInt8]
    }
}

/// Takes the files of an archive in their order.
package protocol TarSink {
    mutating func begin(_ entry: TarEntry) throws(ImageError)
    /// Takes some of the data of the last entry.
    mutating func append(_ bytes: ArraySlice<UInt8>) throws(ImageError)
    mutating func finish() throws(ImageError)
}
