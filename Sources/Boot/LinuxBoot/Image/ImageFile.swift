// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import SystemPackage

/// A regular file, open for reading, that closes itself.
///
/// Nothing is allocated by the file's size: its bytes go to guest memory or into small buffers.
struct ImageFile: ~Copyable, Sendable {
    let role: ImageRole
    let path: String
    private let owned: OwnedDescriptor
    /// The size at the time of opening.
    let byteCount: UInt64

    /// Opens the file; a FIFO, a device or a directory is refused without waiting for it.
    init(_ path: FilePath, role: ImageRole) throws(BootError) {
        let name = path.string
        func failure(_ problem: FileProblem) -> BootError { .file(role, path: name, problem) }
        let owned: OwnedDescriptor
        do throws(Errno) { owned = try OwnedDescriptor(opening: path, O_RDONLY | O_NONBLOCK | O_NOCTTY) } catch {
            // The error of open for a socket, "no such device or address", would help nobody.
            guard error.rawValue != ENXIO else {
                throw failure(.notRegular(kind: "a socket or a device without a driver"))
            }
            throw failure(.system(operation: "open", error))
        }
        let status: Stat
        do throws(Errno) { status = try owned.borrowed.stat() } catch {
            throw failure(.system(operation: "examine", error))
        }
        guard status.type == .regular else { throw failure(.notRegular(kind: Self.kind(of: status.type))) }
        byteCount = UInt64(clamping: status.size)
        (self.role, self.path) = (role, name)
        self.owned = owned
    }

    var descriptor: FileDescriptor { owned.borrowed }

    borrowing func failure(_ problem: FileProblem) -> BootError {
        .file(role, path: path, problem)
    }

    /// Up to `byteCount` bytes from `offset` on; fewer only at the end of the file.
    ///
    /// The caller bounds `byteCount`, which is allocated.
    borrowing func read(upTo byteCount: Int, at offset: UInt64) throws(BootError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        let count = try read(into: &span, at: offset)
        bytes.removeSubrange(count...)
        return bytes
    }

    /// Fills `bytes` from `offset` on and returns the number of bytes read; less than asked for only at the end.
    borrowing func read(into bytes: inout MutableRawSpan, at offset: UInt64) throws(BootError) -> Int {
        do throws(Errno) {
            return try unsafe bytes.withUnsafeMutableBytes { buffer throws(Errno) in
                try unsafe descriptor.read(filling: buffer, at: offset)
            }
        } catch {
            throw failure(.system(operation: "read", error))
        }
    }

    /// Reads `byteCount` bytes from `offset` on straight into guest memory.
    borrowing func load(
        offset: UInt64,
        byteCount: UInt64,
        into memory: GuestMemory,
        at address: GuestAddress
    ) throws(BootError) {
        do {
            try memory.read(from: descriptor, offset: offset, byteCount: byteCount, at: address)
        } catch {
            switch error {
            case .endOfFile(let missing): throw failure(.shrank(missing: missing))
            case .host(_, _, let errno): throw failure(.system(operation: "read", errno))
            case .outOfRange, .badRegion, .overlap: throw .memory(error)
            }
        }
    }

    private static func kind(of type: FileType) -> String {
        switch type {
        case .directory: "a directory"
        case .fifo: "a FIFO"
        case .socket: "a socket"
        case .blockSpecial: "a block device"
        case .characterSpecial: "a character device"
        default: "not a regular file"
        }
    }
}
