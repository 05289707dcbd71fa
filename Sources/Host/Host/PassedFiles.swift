// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Synchronization
package import SystemPackage

/// Open files that go from one process to another over a Unix socket.
///
/// They are closed with the last reference.
package final class PassedFiles: Sendable {
    /// The greatest number of files that come together.
    package static let limit = Int(CHOST_FILE_LIMIT)

    /// The number of files that this process holds, over all connections.
    private static let openCount = Atomic<Int>(0)

    /// Indicates whether clients have sent more than a few requests need, and would use up the process's descriptors.
    fileprivate static var areTooMany: Bool { openCount.load(ordering: .relaxed) > 4 * limit }

    /// The files, in the order in which they were sent; they stay owned here.
    package let descriptors: [FileDescriptor]

    /// Takes descriptors over, which nobody else may close.
    package init(adopting descriptors: some Sequence<CInt>) {
        self.descriptors = descriptors.map { FileDescriptor(rawValue: $0) }
        Self.openCount.add(self.descriptors.count, ordering: .relaxed)
    }

    deinit {
        for descriptor in descriptors { try? descriptor.close() }
        Self.openCount.subtract(descriptors.count, ordering: .relaxed)
    }
}

extension UnixSocket {
    /// Receives available bytes, and the files that were sent with them.
    ///
    /// - Parameter buffer: Where the bytes go; not empty.
    /// - Returns: The number of bytes, 0 at the end; and the files, `nil` where there are none.
    /// - Throws: `Errno`; `wouldBlock` where nothing is there and the socket does not block, `tooManyOpenFiles` where all
    ///   connections together have sent too many, which are closed.
    package func receiveWithFiles(into buffer: inout [UInt8]) throws(Errno) -> (count: Int, files: PassedFiles?) {
        var files = [CInt](repeating: -1, count: PassedFiles.limit)
        var fileCount: CInt = 0
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe chost_receive_files(descriptor.rawValue, $0.baseAddress, $0.count, &files, &fileCount)
            }
            guard count >= 0 else {
                if count == -Int(EINTR) { continue }
                throw Errno(rawValue: CInt(-count))
            }
            let passed = fileCount > 0 ? PassedFiles(adopting: files.prefix(Int(fileCount))) : nil
            if passed != nil, PassedFiles.areTooMany { throw .tooManyOpenFiles }
            return (count, passed)
        }
    }

    /// Sends as many bytes as there is place for, at least one, and files with the first of them.
    ///
    /// - Parameters:
    ///   - bytes: Not empty.
    ///   - files: At most `PassedFiles.limit`; they stay open here as well.
    /// - Returns: The number of bytes taken.
    /// - Throws: `Errno`; `wouldBlock`, and nothing is sent, where there is no place and the socket does not block.
    package func send(_ bytes: ArraySlice<UInt8>, with files: [FileDescriptor]) throws(Errno) -> Int {
        guard !files.isEmpty else { return try send(bytes) }
        while true {
            let count = unsafe bytes.withUnsafeBytes {
                let numbers = files.map(\.rawValue)
                let count = CInt(numbers.count)
                return unsafe chost_send_files(descriptor.rawValue, $0.baseAddress, $0.count, numbers, count)
            }
            guard count < 0 else { return count }
            if count != -Int(EINTR) { throw Errno(rawValue: CInt(-count)) }
        }
    }
}
