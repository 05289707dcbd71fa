// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// A kernel image whose headers were read and found usable; the file stays open.
package final class KernelImage: Sendable {
    /// The framing that the headers gave.
    enum Contents: Hashable, Sendable {
        case bzImage(SetupHeader)
        case elf(ELFImage)
        case compressed(Compression)
    }

    /// Every header of the common case is in here: one read.
    private static let firstReadByteCount = 4096

    let file: ImageFile
    let contents: Contents
    /// The version text of a bzImage ("6.1.0-18-cloud-amd64 (debian-kernel@…) #1 SMP …").
    package let version: String?

    /// Opens an image and reads its headers.
    ///
    /// - Parameter path: A bzImage, an ELF image, or an ELF image compressed as a whole.
    /// - Throws: `file` or `kernel`, with the fault.
    package init(path: FilePath) throws(BootError) {
        let file = try ImageFile(path, role: .kernel)
        guard file.byteCount > 0 else { throw file.failure(.empty) }
        let start = ByteReader(try file.read(upTo: Self.firstReadByteCount, at: 0))
        if SetupHeader.isPresent(in: start) {
            let header = try Self.kernelProblems(file.path) { () throws(KernelProblem) in
                try SetupHeader(start, fileByteCount: file.byteCount)
            }
            contents = .bzImage(header)
            version = Self.version(start, header, file)
        } else if start.has(ELFHeader.magic) {
            contents = .elf(try Self.elfImage(start, file))
            version = nil
        } else if let compression = Compression(magicOf: start) {
            contents = .compressed(compression)
            version = nil
        } else {
            let more = ByteReader(try file.read(upTo: ForeignFormat.reach, at: 0))
            throw .kernel(path: file.path, ForeignFormat.problem(with: more))
        }
        self.file = file
    }

    /// The path it was opened by, for messages.
    package var path: String { file.path }

    /// The most bytes of command line that this kernel reads, without the terminating NUL.
    package var commandLineLimit: Int {
        switch contents {
        case .bzImage(let header): header.commandLineLimit
        case .elf, .compressed: KernelCommandLine.linuxLimit
        }
    }

    /// Runs `body` and says of which image its error speaks.
    static func kernelProblems<R>(_ path: String, _ body: () throws(KernelProblem) -> R) throws(BootError) -> R {
        do {
            return try body()
        } catch {
            throw .kernel(path: path, error)
        }
    }

    private static func elfImage(_ start: ByteReader, _ file: borrowing ImageFile) throws(BootError) -> ELFImage {
        let path = file.path
        let byteCount = file.byteCount
        let header = try kernelProblems(path) { () throws(KernelProblem) in
            try ELFHeader(start, available: byteCount)
        }
        let table: ByteReader
        if let inStart = try? start.slice(at: header.table.lowerBound, byteCount: UInt64(header.table.count)) {
            table = ByteReader(inStart)
        } else {
            // At most 128 entries of at most 64 KiB.
            table = ByteReader(try file.read(upTo: header.table.count, at: header.table.lowerBound))
        }
        return try kernelProblems(path) { () throws(KernelProblem) in
            try ELFImage(header, table: table, byteCount: byteCount)
        }
    }

    private static func version(
        _ start: ByteReader,
        _ header: SetupHeader,
        _ file: borrowing ImageFile
    ) -> String? {
        guard
            let pointer: UInt16 = try? start.load(at: SetupHeader.Field.kernelVersion), pointer > 0,
            UInt64(pointer) + 0x200 < header.protectedModeOffset,
            let bytes = try? file.read(upTo: 256, at: UInt64(pointer) + 0x200)
        else { return nil }
        // Into messages and terminals it goes: printable ASCII only.
        let text = bytes.prefix { (0x20..<0x7f).contains($0) }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }
}
