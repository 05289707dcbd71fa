// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// Everything besides the kernel and its initrd that must be in guest memory, and the entry state that goes with it.
struct BootStructures {
    let placed: PlacedKernel
    let commandLine: KernelCommandLine
    let initrd: Range<GuestAddress>?
    let rsdp: GuestAddress?
    let setupData: SetupData
    let memoryMap: MemoryMap

    private var segments: EntrySegments { EntrySegments(isLong: placed.entryProtocol == .linux64) }

    func write(to memory: GuestMemory) throws(GuestMemoryError) {
        // The host is an x86-64 too: its integers are in the guest's byte order.
        try unsafe memory.write(segments.table.span.bytes, at: X86Layout.gdt)
        try memory.write(commandLine.bytes, at: X86Layout.commandLine)
        switch placed.entryProtocol {
        case .linux64:
            try PageTables.write(to: memory)
            try memory.write(setupData.bytes, at: X86Layout.setupData)
            try memory.write(bootParameters.bytes, at: X86Layout.zeroPage)
        case .pvh:
            try memory.write(startInfo.bytes, at: X86Layout.pvhStartInfo)
        }
    }

    /// The state in which the first vCPU starts.
    var state: BootState {
        let isLinux = placed.entryProtocol == .linux64
        let segments = segments
        return BootState(
            mode: isLinux ? .long64(pageTables: X86Layout.pageTables) : .protected32,
            instructionPointer: placed.entryPoint,
            stackPointer: isLinux ? X86Layout.bootStackTop.rawValue : 0,
            rsi: isLinux ? X86Layout.zeroPage.rawValue : 0,
            rbx: isLinux ? 0 : X86Layout.pvhStartInfo.rawValue,
            gdtBase: X86Layout.gdt,
            gdtLimit: UInt16(EntrySegments.tableByteCount - 1),
            code: segments.code,
            data: segments.data,
            task: segments.task
        )
    }

    private var bootParameters: BootParameters {
        BootParameters(
            header: placed.header,
            imageAddress: placed.imageAddress,
            commandLine: X86Layout.commandLine,
            initrd: initrd,
            rsdp: rsdp,
            setupData: setupData.address,
            memoryMap: memoryMap
        )
    }

    private var startInfo: PVHStartInfo {
        PVHStartInfo(commandLine: X86Layout.commandLine, initrd: initrd, rsdp: rsdp, memoryMap: memoryMap)
    }
}
