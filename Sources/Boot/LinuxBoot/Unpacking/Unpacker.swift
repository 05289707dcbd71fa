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
    ///   - source: Where the compressed bytes lie in the file; more may follow behind the stream, and is ignored.
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
                var decoder = CopyDecoder(byteCount: source.upperBound - source.lowerBound)
                try run(&decoder, file, sink)
            case .gzip:
                var decoder = try GzipDecoder()
                try run(&decoder, file, sink)
            case .bzip2:
                var decoder = try Bzip2Decoder()
                try run(&decoder, file, sink)
            case .xz, .lzma:
                var decoder = try LZMADecoder(isAlone: compression == .lzma)
                try run(&decoder, file, sink)
            case .lz4:
                var decoder = try LZ4FrameDecoder()
                try run(&decoder, file, sink)
            case .zstd:
                var decoder = try ZstdDecoder()
                try run(&decoder, file, sink)
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

    /// Feeds a decoder until its stream is complete.
    ///
    /// It ends: every turn consumes some of a finite input, produces some of a bounded output, or throws.
    private borrowing func run(
        _ decoder: inout some StreamDecoder & ~Copyable,
        _ file: borrowing ImageFile,
        _ sink: Sink
    ) throws {
        var input = RawBuffer(byteCount: Self.pieceByteCount)
        var output = RawBuffer(byteCount: Self.pieceByteCount)
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
            if step.isComplete { return }
            guard step.consumedByteCount > 0 || step.producedByteCount > 0 else {
                throw pending.isEmpty && position == source.upperBound
                    ? DecodingFailure.truncated : DecodingFailure.damaged("the decoder makes no progress")
            }
        }
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
