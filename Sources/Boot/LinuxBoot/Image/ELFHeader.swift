// SPDX-License-Identifier: Apache-2.0

/// The header of an ELF file and where its program header table lies.
struct ELFHeader: Hashable, Sendable {
    static let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]
    /// The size of the larger, 64-bit header.
    static let byteCount: UInt64 = 64
    /// The limit on program headers, beyond which a file is not a kernel; Linux has five.
    static let programHeaderLimit: UInt16 = 128

    enum Machine {
        static let i386: UInt16 = 3
        static let x86_64: UInt16 = 62
    }

    let is64Bit: Bool
    let entry: UInt64
    let tableOffset: UInt64
    let entryByteCount: UInt64
    let entryCount: UInt16

    /// The program header table in the file.
    var table: Range<UInt64> {
        tableOffset..<tableOffset + entryByteCount * UInt64(entryCount)
    }

    /// Reads the header at the start of `bytes` and refuses anything but an x86 executable.
    ///
    /// `available` is the size of the whole file, for messages.
    init(_ bytes: ByteReader, available: UInt64) throws(KernelProblem) {
        do {
            try self.init(unchecked: bytes)
        } catch let error as ByteReader.OutOfBytes {
            throw .truncated(what: "the ELF header", needed: error.needed, available: available)
        } catch let error as KernelProblem {
            throw error
        } catch {
            throw .malformed("\(error)")
        }
    }

    private init(unchecked bytes: ByteReader) throws {
        let elfClass: UInt8 = try bytes.load(at: 4)
        let byteOrder: UInt8 = try bytes.load(at: 5)
        guard byteOrder == 1 else { throw KernelProblem.wrongArchitecture("a big-endian ELF image") }
        guard elfClass == 1 || elfClass == 2 else {
            throw KernelProblem.malformed("ELF class \(elfClass) is neither 32-bit nor 64-bit")
        }
        is64Bit = elfClass == 2
        let machine: UInt16 = try bytes.load(at: 18)
        guard machine == Machine.x86_64 || machine == Machine.i386 else {
            throw KernelProblem.wrongArchitecture("an ELF image for \(Self.machineName(machine))")
        }
        guard is64Bit == (machine == Machine.x86_64) else {
            throw KernelProblem.wrongArchitecture("an ELF image of mixed kind (x32, or 64-bit with 32-bit code)")
        }
        let type: UInt16 = try bytes.load(at: 16)
        switch type {
        case 2, 3: break
        case 1:
            throw KernelProblem.notAKernel("it is an object file (.o or .ko) that was not linked to an executable")
        case 4: throw KernelProblem.notAKernel("it is a core dump, not a kernel")
        default: throw KernelProblem.malformed("ELF type \(type) is not an executable")
        }
        let smallest: UInt64
        if is64Bit {
            entry = try bytes.load(at: 24)
            tableOffset = try bytes.load(at: 32)
            entryByteCount = UInt64(try bytes.load(UInt16.self, at: 54))
            entryCount = try bytes.load(at: 56)
            smallest = 56
        } else {
            entry = UInt64(try bytes.load(UInt32.self, at: 24))
            tableOffset = UInt64(try bytes.load(UInt32.self, at: 28))
            entryByteCount = UInt64(try bytes.load(UInt16.self, at: 42))
            entryCount = try bytes.load(at: 44)
            smallest = 32
        }
        guard entryCount > 0 else { throw KernelProblem.malformed("the ELF image has no program headers to load") }
        guard entryCount <= Self.programHeaderLimit else {
            throw KernelProblem.malformed("\(entryCount) ELF program headers are more than any kernel has")
        }
        guard entryByteCount >= smallest else {
            throw KernelProblem.malformed("ELF program headers of \(entryByteCount) bytes are too small")
        }
        guard tableOffset <= UInt64.max - entryByteCount * UInt64(entryCount) else {
            throw KernelProblem.malformed("the ELF program headers lie outside the file")
        }
    }

    private static func machineName(_ machine: UInt16) -> String {
        switch machine {
        case 8: "MIPS"
        case 20, 21: "PowerPC"
        case 22: "IBM Z"
        case 2, 43: "SPARC"
        case 40: "32-bit Arm"
        case 183: "AArch64"
        case 243: "RISC-V"
        case 258: "LoongArch"
        default: "machine type \(machine)"
        }
    }
}
