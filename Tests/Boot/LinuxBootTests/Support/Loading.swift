// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import GuestMemory
import LinuxBoot
import SystemPackage

#if canImport(Glibc)
import Glibc
import MachineModel
#elseif canImport(Musl)
import Musl
#endif

/// A file that lives as long as `body` runs.
func withFile<R>(_ bytes: [UInt8], _ body: (FilePath) throws -> R) throws -> R {
    var template = Array("/tmp/martlet-boot-XXXXXX".utf8CString)
    let raw = unsafe mkstemp(&template)
    guard raw >= 0 else { throw Errno(rawValue: errno) }
    let descriptor = FileDescriptor(rawValue: raw)
    let path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    defer { _ = unsafe path.withPlatformString { unsafe unlink($0) } }
    do {
        defer { try? descriptor.close() }
        _ = try descriptor.writeAll(bytes)
    }
    return try body(path)
}

/// Guest memory of so many bytes, with the hole below 4 GiB.
func guestMemory(byteCount: UInt64) throws -> GuestMemory {
    let hole = X86Layout.deviceHole.rawValue
    var regions = [try GuestMemoryRegion(start: 0, byteCount: min(byteCount, hole))]
    if byteCount > hole {
        regions.append(try GuestMemoryRegion(start: X86Layout.endOfDeviceHole, byteCount: byteCount - hole))
    }
    return try GuestMemory(regions: regions)
}

func mebibytes(_ count: UInt64) -> UInt64 { count << 20 }

/// A loaded guest, to be looked at.
struct Guest {
    let memory: GuestMemory
    let kernel: LoadedKernel

    /// Loads `image` from a file into fresh memory.
    init(
        _ image: [UInt8],
        memoryByteCount: UInt64 = mebibytes(64),
        entry: EntryChoice = .automatic,
        initrd: [UInt8]? = nil,
        commandLine: String = "console=ttyS0",
        rsdp: GuestAddress? = nil,
        virtioDevices: [FirmwareDescription.VirtioDevice] = [],
        hasIdentityPage: Bool = false,
        rngSeed: [UInt8] = []
    ) throws {
        let memory = try guestMemory(byteCount: memoryByteCount)
        self.memory = memory
        let line = try KernelCommandLine(user: commandLine)
        kernel = try withFile(image) { path in
            let load = { (initrd: FilePath?) in
                try LinuxLoader(memory: memory).load(
                    KernelImage(path: path),
                    entry: entry,
                    initrd: initrd,
                    commandLine: line,
                    rsdp: rsdp,
                    virtioDevices: virtioDevices,
                    hasIdentityPage: hasIdentityPage,
                    rngSeed: rngSeed
                )
            }
            guard let initrd else { return try load(nil) }
            return try withFile(initrd) { try load($0) }
        }
    }

    func bytes(at address: UInt64, count: Int) throws -> [UInt8] {
        try memory.read(byteCount: count, at: GuestAddress(rawValue: address))
    }

    func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at address: UInt64) throws -> T {
        try memory.load(type, at: GuestAddress(rawValue: address))
    }

    /// Returns whether every segment of `builder` has arrived, bss as zeroes.
    func holds(_ builder: ELFBuilder) throws -> Bool {
        for segment in builder.segments where segment.type == 1 {
            let bss = [UInt8](repeating: 0, count: Int(segment.memoryByteCount) - segment.content.count)
            let found = try bytes(at: segment.physical, count: Int(segment.memoryByteCount))
            if found != segment.content + bss { return false }
        }
        return true
    }
}

/// The problem for which an image is refused, or `nil` when it is not.
func problem(
    of image: [UInt8],
    memoryByteCount: UInt64 = mebibytes(64),
    entry: EntryChoice = .automatic
) throws -> KernelProblem? {
    do {
        _ = try Guest(image, memoryByteCount: memoryByteCount, entry: entry)
        return nil
    } catch BootError.kernel(_, let problem) {
        return problem
    }
}
