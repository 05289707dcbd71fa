// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import Logging
import SystemPackage
import TestSupport
import Virtio

/// The input is what a driver and programs of the host do to a vsock device, and the guest memory with three virtqueues.
///
/// 24 steps of a byte each, then memory from 0 on: for each queue 0x400 bytes with a descriptor table of 16 entries at 0, the
/// available ring at 0x100, the used ring at 0x200; anything behind.
enum VsockFuzzTarget {
    private static let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }

    /// One socket for all runs: its file is made once.
    nonisolated(unsafe) private static let paths: (TemporaryFolder, FilePath)? = {
        guard let folder = try? TemporaryFolder() else { return nil }
        return (folder, FilePath("\(folder.path)/v"))
    }()

    static func run(_ input: inout FuzzInput) {
        guard
            let (_, path) = unsafe paths,
            let memory = try? GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 256 << 10)]),
            let listener = try? UnixSocket.listen(at: path),
            let device = try? VsockDevice(
                guestCID: 3,
                path: path,
                listener: listener,
                log: GuestFaultLog(device: "vsock", logger: logger)
            )
        else { fatalError("the host has no memory") }
        defer { device.removeSocket() }
        device.connect(RecordingVirtioInterrupt())
        let queues = [UInt64(0), 0x400, 0x800].map { base in
            VirtqueueConfiguration(
                size: 16,
                descriptorTable: GuestAddress(rawValue: base),
                availableRing: GuestAddress(rawValue: base + 0x100),
                usedRing: GuestAddress(rawValue: base + 0x200)
            )
        }
        let context = ActivationContext(memory: memory, features: device.features, queues: queues)
        let steps = (0..<24).map { _ in input.byte() }
        try? memory.write(Array(input.rest.prefix(256 << 10)), at: 0)
        try? device.activate(context)
        var programs: [UnixSocket] = []
        for step in steps {
            switch step & 7 {
            case 0, 1, 2: device.processQueue(Int(step >> 3 & 3))
            case 3:
                guard let program = try? UnixSocket.connect(to: path) else { continue }
                write(step & 8 != 0 ? "CONNECT \(step >> 4)\n" : "CONN", to: program)
                programs.append(program)
            case 4: if let program = programs.last { write(String(repeating: "x", count: 3000), to: program) }
            case 5: if !programs.isEmpty { programs.removeFirst() }
            case 6: device.drain(.everything)
            default:
                device.reset()
                try? device.activate(context)
            }
            handleEvents(of: device)
        }
        device.reset()
        precondition(device.connectionCount <= 1023)
    }

    private static func write(_ text: String, to program: UnixSocket) {
        let bytes = Array(text.utf8)
        _ = unsafe send(program.descriptor.rawValue, bytes, bytes.count, CInt(MSG_NOSIGNAL | MSG_DONTWAIT))
    }

    private static func handleEvents(of device: VsockDevice) {
        for source in device.eventSources {
            var set = pollfd(fd: source.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&set, 1, 0) == 1 { source.handle() }
        }
    }
}
