// SPDX-License-Identifier: Apache-2.0

import CCompression
import Host
import SystemPackage

/// Writes bytes to a file as one zstd frame.
@safe
final class ZstdWriter {
    private static let level: CInt = 3
    private let context: OpaquePointer
    private let file: FileDescriptor
    private var output = [UInt8](repeating: 0, count: 1 << 17)

    init(to file: FileDescriptor) throws(SnapshotPack.Failure) {
        guard let context = unsafe ZSTD_createCCtx() else { throw .noMemory }
        unsafe self.context = context
        self.file = file
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.level)
        // A pack that was cut or changed on its way is found out when it is unpacked.
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit {
        unsafe ZSTD_freeCCtx(context)
    }

    func write(_ bytes: [UInt8]) throws(SnapshotPack.Failure) {
        try run(bytes, ZSTD_e_continue)
    }

    /// Ends the frame.
    func finish() throws(SnapshotPack.Failure) {
        try run([], ZSTD_e_end)
    }

    private func run(_ bytes: [UInt8], _ directive: ZSTD_EndDirective) throws(SnapshotPack.Failure) {
        var position = 0
        while true {
            // SAFETY: libzstd keeps neither pointer beyond the call.
            let (rest, count) = unsafe bytes.withUnsafeBytes { source in
                unsafe output.withUnsafeMutableBytes { target in
                    var input = unsafe ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: position)
                    var output = unsafe ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
                    let rest = unsafe ZSTD_compressStream2(context, &output, &input, directive)
                    position = unsafe input.pos
                    return unsafe (rest, output.pos)
                }
            }
            guard ZSTD_isError(rest) == 0 else { throw .noMemory }
            do {
                try file.writeAll(output[..<count])
            } catch {
                throw .host(error as? Errno ?? .ioError)
            }
            if position == bytes.count, directive == ZSTD_e_continue || rest == 0 { return }
        }
    }
}

/// Reads what `ZstdWriter` has written.
@safe
final class ZstdReader {
    private let context: OpaquePointer
    private let file: FileDescriptor
    private var input = [UInt8](repeating: 0, count: 1 << 17)
    private var inputRange = 0..<0
    private var output = [UInt8](repeating: 0, count: 1 << 17)
    private var outputRange = 0..<0
    private var isComplete = false

    init(from file: FileDescriptor) throws(SnapshotPack.Failure) {
        guard let context = unsafe ZSTD_createDCtx() else { throw .noMemory }
        unsafe self.context = context
        self.file = file
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
    }

    /// Reads at most `count` bytes; none at the end of the frame.
    func read(atMost count: Int) throws(SnapshotPack.Failure) -> ArraySlice<UInt8> {
        while outputRange.isEmpty {
            if isComplete { return [] }
            try fill()
        }
        let end = min(outputRange.lowerBound + count, outputRange.upperBound)
        defer { outputRange = end..<outputRange.upperBound }
        return output[outputRange.lowerBound..<end]
    }

    private func fill() throws(SnapshotPack.Failure) {
        if inputRange.isEmpty {
            do {
                let count = try unsafe input.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
                inputRange = 0..<count
            } catch {
                throw .host(error as? Errno ?? .ioError)
            }
            guard !inputRange.isEmpty else { throw .damaged("it ends too early") }
        }
        // SAFETY: libzstd keeps neither pointer beyond the call.
        let (result, consumed, produced) = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                var from = unsafe ZSTD_inBuffer(
                    src: source.baseAddress,
                    size: inputRange.upperBound,
                    pos: inputRange.lowerBound
                )
                var to = unsafe ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
                let result = unsafe ZSTD_decompressStream(context, &to, &from)
                return unsafe (result, from.pos, to.pos)
            }
        }
        guard ZSTD_isError(result) == 0 else {
            throw .damaged(unsafe String(cString: ZSTD_getErrorName(result)))
        }
        inputRange = consumed..<inputRange.upperBound
        outputRange = 0..<produced
        isComplete = result == 0
    }
}
