// SPDX-License-Identifier: Apache-2.0

/// Decompresses a part of a file, piece by piece, with bounded memory and bounded output.
struct Unpacker: ~Copyable {
    /// Gets the unpacked bytes in order.
    typealias Sink = (RawSpan) throws(BootError) -> Void

    /// Small enough to stay in the processor's second-level cache until the sink has copied it on.
    private static let pieceByteCount = 256 << 10

    private let compression: Compression
    let source: Range<UInt64>
    private let limit: UInt64

    /// - Parameters:
    ///   - compression: The format.
    ///   - source: The place of the compressed bytes in the file; bytes after its last part are ignored.
    ///   - limit: The most bytes that may come out.
    init(_ compression: Compression, source: Range<UInt64>, limit: UInt64) {
        self.compression = compression
        self.source = source
        self.limit = limit
    }

    /// Unpacks everything into `sink`.
    ///
    /// - Throws: `unusablePayload` for a format that is not supported, `damagedPayload`, `payloadTooLarge`, a read
    ///   error, or what `sink` throws.
    borrowing func unpack(_ file: borrowing ImageFile, into sink: Sink) throws(BootError) {
        do {
            switch compression {
            case .uncompressed:
                try run(file, sink) { CopyDecoder(byteCount: source.upperBound - source.lowerBound) }
            case .gzip: try run(file, sink) { try GzipDecoder() }
            case .bzip2: try run(file, sink) { try Bzip2Decoder() }
            case .xz, .lzma: try run(file, sink) { try LZMADecoder(isAlone: compression == .lzma) }
            case .lz4: try run(file, sink) { try LZ4FrameDecoder() }
            case .zstd: try run(file, sink) { try ZstdDecoder() }
            case .lz4Legacy:
                try unpackLZ4Legacy(file, sink)
            case .lzo:
                throw DecodingFailure.unsupported("Martlet does not unpack LZO")
            }
        } catch let error as BootError {
            throw error
        } catch let failure as DecodingFailure {
            throw bootError(failure, path: file.path)
        } catch {
            throw bootError(.damaged("\(error)"), path: file.path)
        }
    }

    /// Feeds decoders, one for each member, stream or frame, until no other follows.
    ///
    /// It ends: every turn consumes some of a finite input, produces some of a bounded output, or throws.
    private borrowing func run<Decoder: StreamDecoder & ~Copyable>(
        _ file: borrowing ImageFile,
        _ sink: Sink,
        makeDecoder: () throws -> Decoder
    ) throws {
        var input = RawBuffer(byteCount: Self.pieceByteCount)
        var output = RawBuffer(byteCount: Self.pieceByteCount)
        var decoder = try makeDecoder()
        var position = source.lowerBound
        var pending = 0..<0
        var total: UInt64 = 0
        while true {
            if pending.isEmpty, position < source.upperBound {
                let wanted = Int(min(UInt64(input.byteCount), source.upperBound - position))
                let count = try input.withMutableBytes(0..<wanted) { span throws(BootError) in
                    try file.read(into: &span, at: position)
                }
                guard count == wanted else { throw file.failure(.shrank(missing: UInt64(wanted - count))) }
                pending = 0..<count
                position += UInt64(count)
            }
            let step = try input.withBytes(pending) { bytes throws(DecodingFailure) in
                try output.withMutableBytes(0..<output.byteCount) { space throws(DecodingFailure) in
                    try decoder.decode(bytes, into: &space)
                }
            }
            pending = pending.lowerBound + step.consumedByteCount..<pending.upperBound
            if step.producedByteCount > 0 {
                try count(step.producedByteCount, &total, path: file.path)
                try output.withBytes(0..<step.producedByteCount, sink)
            }
            if step.isComplete {
                guard let next = try nextPart(from: position - UInt64(pending.count), of: file) else { return }
                (position, pending) = (next, 0..<0)
                decoder = try makeDecoder()
                continue
            }
            guard step.consumedByteCount > 0 || step.producedByteCount > 0 else {
                throw pending.isEmpty && position == source.upperBound
                    ? DecodingFailure.truncated : DecodingFailure.damaged("the decoder makes no progress")
            }
        }
    }

    /// The start of the next member, stream or frame, or `nil` where the source ends or bytes of another kind follow,
    /// such as the unpacked size that Linux appends.
    ///
    /// xz lets zeroes stand between streams, four at a time (xz-file-format.txt 2.2).
    private borrowing func nextPart(
        from start: UInt64,
        of file: borrowing ImageFile
    ) throws(BootError) -> UInt64? {
        var position = start
        while position < source.upperBound {
            let wanted = min(UInt64(Self.pieceByteCount), source.upperBound - position)
            let bytes = try file.read(upTo: compression == .xz ? Int(wanted) : Compression.magicByteCount, at: position)
            let padding = compression == .xz ? bytes.prefix { $0 == 0 }.count / 4 * 4 : 0
            if padding == 0 { return compression.continues(with: ByteReader(bytes)) ? position : nil }
            position += UInt64(padding)
        }
        return nil
    }

    /// Adds to the number of bytes that came out, and ends a decompression bomb.
    borrowing func count(_ byteCount: Int, _ total: inout UInt64, path: String) throws(BootError) {
        total += UInt64(byteCount)
        guard total <= limit else { throw .kernel(path: path, .payloadTooLarge(compression, limit: limit)) }
    }

    private borrowing func bootError(_ failure: DecodingFailure, path: String) -> BootError {
        switch failure {
        case .damaged(let reason): .kernel(path: path, .damagedPayload(compression, reason))
        case .truncated: .kernel(path: path, .damagedPayload(compression, "the compressed data end too early"))
        case .unsupported(let reason):
            .kernel(path: path, .unusablePayload("its \(compression.adjective) kernel cannot be unpacked: \(reason)"))
        }
    }
}
