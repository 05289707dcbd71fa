// SPDX-License-Identifier: Apache-2.0

package import Host
package import SystemPackage

/// The host's end of standard input, output or error of a program in the guest: a file, or one side of a machine's console.
package protocol ProgramStream: Sendable {
    /// Tells by poll(2) that there is something to read or room to write.
    var descriptor: FileDescriptor { get }
    /// The event of `descriptor` that means room to write.
    var roomEvent: Poll.Events { get }
    /// The size of the stream's terminal; `nil` where there is none.
    var terminalSize: Terminal.Size? { get }

    /// Reads available bytes.
    ///
    /// - Returns: Nothing at the end.
    /// - Throws: `Errno`; `.resourceTemporarilyUnavailable` where nothing is there yet.
    func readSome(limit: Int) throws(Errno) -> [UInt8]
    /// Writes as much as there is room for.
    ///
    /// - Returns: The number of bytes.
    /// - Throws: `Errno`; `.resourceTemporarilyUnavailable` where there is no room.
    func writeSome(_ bytes: ArraySlice<UInt8>) throws(Errno) -> Int
}

extension FileDescriptor: ProgramStream {
    package var descriptor: FileDescriptor { self }
    package var roomEvent: Poll.Events { .writable }
    package var terminalSize: Terminal.Size? { Terminal.size(of: self) }
}
