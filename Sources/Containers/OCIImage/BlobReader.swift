// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import LinuxBoot
import RootImage
import SystemPackage

/// Reads a file of an image, unpacks it as its first bytes say, and checks its digest.
enum BlobReader {
    private static let pieceByteCount = 256 << 10

    /// Passes the unpacked bytes on in order.
    ///
    /// `digest` is the SHA-256 of the file as it is, in hexadecimal; `nil` for one that nothing vouches for.
    static func read(
        _ path: FilePath,
        digest: String? = nil,
        into sink: (ArraySlice<UInt8>) throws(ImageError) -> Void
    ) throws(ImageError) {
        let raw = unsafe path.withPlatformString { unsafe open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard raw >= 0 else { throw ImageError("cannot open \(path): \(Errno(rawValue: errno))") }
        let file = OwnedDescriptor(adopting: raw)
        guard (try? file.borrowed.stat())?.type == .regular else {
            throw ImageError("\(path) is not a file")
        }
        var hash = SHA256()
        var source = Source(file: file.borrowed, path: path)
        var piece = try source.next()
        hash.add(piece)
        do {
            if piece.starts(with: [0x1f, 0x8b]) {
                try unpack(&piece, &source, &hash, sink) { try GzipDecoder() }
            } else if piece.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) {
                try unpack(&piece, &source, &hash, sink) { try ZstdDecoder() }
            } else {
                while !piece.isEmpty {
                    try sink(piece)
                    piece = try source.next()
                    hash.add(piece)
                }
            }
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError("\(path) cannot be unpacked: \(error)")
        }
        if let digest, hash.finish() != digest {
            throw ImageError("\(path) is damaged: it does not have the digest that the image names")
        }
    }

    private struct Source {
        let file: FileDescriptor
        let path: FilePath

        mutating func next() throws(ImageError) -> ArraySlice<UInt8> {
            do throws(Errno) { return try file.readSome(limit: pieceByteCount)[...] } catch {
                throw ImageError("cannot read \(path): \(error)")
            }
        }
    }

    /// Feeds decoders, one for each member or frame, up to the end of the file.
    private static func unpack<Decoder: StreamDecoder & ~Copyable>(
        _ piece: inout ArraySlice<UInt8>,
        _ source: inout Source,
        _ hash: inout SHA256,
        _ sink: (ArraySlice<UInt8>) throws(ImageError) -> Void,
        makeDecoder: () throws -> Decoder
    ) throws {
        var output = [UInt8](repeating: 0, count: pieceByteCount)
        var decoder = try makeDecoder()
        var isBetween = false
        while true {
            if piece.isEmpty {
                piece = try source.next()
                hash.add(piece)
                if piece.isEmpty {
                    guard isBetween else { throw ImageError("\(source.path) ends too early") }
                    return
                }
            }
            if isBetween {
                decoder = try makeDecoder()
                isBetween = false
            }
            let step = try unsafe piece.withUnsafeBytes { source in
                try unsafe output.withUnsafeMutableBytes { target in
                    var space = unsafe MutableRawSpan(_unsafeBytes: target)
                    return try unsafe decoder.decode(RawSpan(_unsafeBytes: source), into: &space)
                }
            }
            piece = piece.dropFirst(step.consumedByteCount)
            if step.producedByteCount > 0 { try sink(output[..<step.producedByteCount]) }
            isBetween = step.isComplete
            guard step.isComplete || step.consumedByteCount > 0 || step.producedByteCount > 0 || piece.isEmpty else {
                throw ImageError("\(source.path) is damaged")
            }
        }
    }
}
