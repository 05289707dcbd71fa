// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The setup header of a bzImage, `struct setup_header`, which describes the image.
///
/// Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header", is the authority.
struct SetupHeader: Hashable, Sendable {
    /// Offsets in the file's first sectors, which are also those in `boot_params`.
    enum Field {
        static let setupSectorCount: UInt64 = 0x1f1
        static let protectedModeSize: UInt64 = 0x1f4  // syssize, in units of 16 bytes
        static let bootFlag: UInt64 = 0x1fe
        static let jumpDistance: UInt64 = 0x201
        static let magic: UInt64 = 0x202
        static let version: UInt64 = 0x206
        static let kernelVersion: UInt64 = 0x20e
        static let loadFlags: UInt64 = 0x211
        static let initrdAddressMax: UInt64 = 0x22c
        static let kernelAlignment: UInt64 = 0x230
        static let isRelocatable: UInt64 = 0x234
        static let extendedLoadFlags: UInt64 = 0x236
        static let commandLineSize: UInt64 = 0x238
        static let payloadOffset: UInt64 = 0x248
        static let payloadLength: UInt64 = 0x24c
        static let preferredAddress: UInt64 = 0x258
        static let initSize: UInt64 = 0x260
    }

    /// The end of the largest header, which is where the next field of `boot_params` starts.
    static let largestEnd: UInt64 = 0x290
    /// The end of the fields of protocol 2.08, the oldest one accepted.
    private static let oldestEnd: UInt64 = 0x250
    /// The end of the fields that protocol 2.15 knows.
    private static let knownEnd: UInt64 = 0x26c

    /// The raw header, from `setup_sects` to its end, to be copied into `boot_params`.
    let bytes: [UInt8]
    let version: UInt16
    /// The offset of the protected-mode part in the file, and its size there.
    let protectedModeOffset: UInt64
    let protectedModeByteCount: UInt64
    /// The range of the compressed kernel in the file; `nil` where the image does not say so.
    let payload: Range<UInt64>?
    /// The highest address that the initrd may occupy.
    let initrdLast: UInt64
    let kernelAlignment: UInt64
    let isRelocatable: Bool
    /// `XLF_KERNEL_64`: there is a 64-bit entry point at offset 0x200 of the protected-mode part.
    let has64BitEntry: Bool
    let commandLineLimit: Int
    /// The address at which the kernel wants to run, and the memory that it needs from there on.
    let preferredAddress: UInt64
    let initSize: UInt64

    /// Returns whether `start`, the first bytes of a file, are those of a Linux boot sector.
    static func isPresent(in start: ByteReader) -> Bool {
        start.has([0x55, 0xaa], at: Field.bootFlag) && start.has("HdrS", at: Field.magic)
    }

    /// Reads and checks the header.
    ///
    /// `start` is the first bytes of the file, at least 0x290 where it has as many.
    init(_ start: ByteReader, fileByteCount: UInt64) throws(KernelProblem) {
        do {
            try self.init(unchecked: start, fileByteCount: fileByteCount)
        } catch let error as ByteReader.OutOfBytes {
            throw .truncated(what: "the setup header", needed: error.needed, available: fileByteCount)
        } catch let error as KernelProblem {
            throw error
        } catch {
            throw .malformed("\(error)")
        }
    }

    private init(unchecked start: ByteReader, fileByteCount: UInt64) throws {
        version = try start.load(at: Field.version)
        guard version >= 0x0208 else { throw KernelProblem.oldBootProtocol(version) }
        let headerEnd = 0x202 + UInt64(try start.load(UInt8.self, at: Field.jumpDistance))
        guard headerEnd >= Self.oldestEnd, headerEnd <= Self.largestEnd else {
            throw KernelProblem.malformed("its setup header ends at byte \(headerEnd), outside of the boot sectors")
        }
        bytes = try start.slice(
            at: Field.setupSectorCount,
            byteCount: headerEnd - Field.setupSectorCount
        )
        // Fields that the protocol version or the header's size does not cover read as zero.
        let known = ByteReader(Self.covered(start.bytes, headerEnd: min(headerEnd, Self.end(of: version))))

        let loadFlags: UInt8 = try known.load(at: Field.loadFlags)
        guard loadFlags & 1 != 0 else {
            throw KernelProblem.malformed("it is a zImage, or its LOADED_HIGH flag was lost; a bzImage is needed")
        }
        let sectorCount: UInt8 = try known.load(at: Field.setupSectorCount)
        protectedModeOffset = (UInt64(sectorCount == 0 ? 4 : sectorCount) + 1) * 512
        let announced = UInt64(try known.load(UInt32.self, at: Field.protectedModeSize)) * 16
        // The size is rounded up, and not every kernel pads its file to match.
        guard announced > 0, protectedModeOffset + announced < fileByteCount + 16 else {
            throw KernelProblem.truncated(
                what: "the protected-mode kernel",
                needed: protectedModeOffset + max(announced, 1),
                available: fileByteCount
            )
        }
        protectedModeByteCount = min(announced, fileByteCount - protectedModeOffset)
        payload = try Self.payload(
            known,
            after: protectedModeOffset,
            protectedModeByteCount: protectedModeByteCount
        )
        let flags: UInt16 = try known.load(at: Field.extendedLoadFlags)
        has64BitEntry = flags & 1 << 0 != 0
        let canBeAbove4G = flags & 1 << 1 != 0
        let initrdAddressMax = UInt64(try known.load(UInt32.self, at: Field.initrdAddressMax))
        // A kernel that takes its initrd above 4 GiB takes it anywhere below; the field stays at 2 GiB for old loaders.
        initrdLast = canBeAbove4G ? UInt64(UInt32.max) : initrdAddressMax
        kernelAlignment = UInt64(try known.load(UInt32.self, at: Field.kernelAlignment))
        isRelocatable = try known.load(UInt8.self, at: Field.isRelocatable) != 0
        commandLineLimit = Int(try known.load(UInt32.self, at: Field.commandLineSize))
        preferredAddress = try known.load(at: Field.preferredAddress)
        initSize = UInt64(try known.load(UInt32.self, at: Field.initSize))
        guard version < 0x020c || has64BitEntry else {
            throw KernelProblem.wrongArchitecture("a 32-bit x86 kernel (XLF_KERNEL_64 is not set)")
        }
    }

    /// The end of the fields that protocol `version` has.
    private static func end(of version: UInt16) -> UInt64 {
        switch version {
        case ..<0x0209: oldestEnd
        case ..<0x020a: 0x258
        case ..<0x020b: 0x264
        default: largestEnd
        }
    }

    /// The first bytes of the file with everything after the header set to zero, long enough for every field.
    private static func covered(_ start: [UInt8], headerEnd: UInt64) -> [UInt8] {
        var bytes = Array(start.prefix(Int(headerEnd)))
        if bytes.count < Int(knownEnd) {
            bytes += [UInt8](repeating: 0, count: Int(knownEnd) - bytes.count)
        }
        return bytes
    }

    private static func payload(
        _ header: ByteReader,
        after start: UInt64,
        protectedModeByteCount: UInt64
    ) throws -> Range<UInt64>? {
        let offset = UInt64(try header.load(UInt32.self, at: Field.payloadOffset))
        let length = UInt64(try header.load(UInt32.self, at: Field.payloadLength))
        guard offset > 0, length > 0 else { return nil }
        guard offset + length <= protectedModeByteCount else {
            throw KernelProblem.malformed(
                "its payload should end at byte \(offset + length) of a protected-mode part of "
                    + "\(protectedModeByteCount) bytes"
            )
        }
        return start + offset..<start + offset + length
    }
}
