// SPDX-License-Identifier: Apache-2.0

import Platform
import CFuzzer
import GuestMemory
import LinuxBoot
import MachineModel
import SystemPackage

/// The input is a kernel image; its last byte chooses the entry too.
enum KernelFuzzTarget {
    private static let memoryByteCount: UInt64 = 32 << 20
    private static let entries: [EntryChoice] = [.automatic, .elf, .pvh, .image]

    static func run(_ input: inout FuzzInput) {
        let image = input.rest
        let raw = cfuzzer_memory_file()
        guard raw >= 0 else { fatalError("the host has no descriptor left") }
        let file = FileDescriptor(rawValue: raw)
        defer { try? file.close() }
        do {
            try file.writeAll(image)
            let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: memoryByteCount)])
            let kernel = try LinuxLoader(memory: memory).load(
                KernelImage(path: FilePath("/proc/self/fd/\(raw)")),
                entry: entries[Int(image.last ?? 0) & 3],
                commandLine: KernelCommandLine(user: "quiet"),
                rsdp: X86Layout.acpiTables,
                virtioDevices: [.init(base: X86Layout.virtioMMIO, gsi: 5)],
                rngSeed: [1, 2, 3]
            )
            precondition(kernel.kernelRange.contains(kernel.state.instructionPointer))
            precondition(kernel.kernelRange.upperBound.rawValue <= memoryByteCount)
        } catch let error as BootError {
            precondition(!error.description.isEmpty)
        } catch {
            fatalError("the host failed: \(error)")
        }
    }
}
