// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Host
import Logging
import Network
import SystemPackage
import TestSupport
import Virtio

/// The input is what a driver does to a network device and what comes over the network, and the guest memory with two
/// virtqueues.
///
/// A byte for the features, 16 steps of a byte each, then memory from 0 on: for each queue 0x400 bytes with a descriptor
/// table of 16 entries at 0, the available ring at 0x100, the used ring at 0x200; anything behind.
enum NetworkFuzzTarget {
    private static let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }

    static func run(_ input: inout FuzzInput) {
        let choice = input.byte()
        let faults = GuestFaultLog(device: "network", logger: logger)
        let backend = FuzzBackend(hasOffloadHeader: choice & 1 != 0)
        nonisolated(unsafe) let connection = NetworkConnection(
            backends: [backend],
            mtu: choice & 2 != 0 ? 1500 : nil,
            offloads: backend.hasOffloadHeader ? .all : []
        )
        guard
            let memory = try? GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 256 << 10)]),
            let device = try? unsafe NetworkDevice(connection, address: .random(), log: faults, hostFaults: faults)
        else { fatalError("the host has no memory") }
        device.connect(RecordingVirtioInterrupt())
        let queues = [UInt64(0), 0x400].map { base in
            VirtqueueConfiguration(
                size: 16,
                descriptorTable: GuestAddress(rawValue: base),
                availableRing: GuestAddress(rawValue: base + 0x100),
                usedRing: GuestAddress(rawValue: base + 0x200)
            )
        }
        let features = choice & 4 != 0 ? device.features : [.version1, .networkMergeableBuffers]
        let context = ActivationContext(memory: memory, features: features, queues: queues)
        let steps = (0..<16).map { _ in input.byte() }
        try? memory.write(Array(input.rest.prefix(256 << 10)), at: 0)
        try? device.accept(features)
        try? device.activate(context)
        for step in steps { act(step, device, backend, context) }
        device.reset()
    }

    private static func act(
        _ step: UInt8,
        _ device: NetworkDevice,
        _ backend: FuzzBackend,
        _ context: ActivationContext
    ) {
        switch step & 7 {
        case 0, 1: device.processQueue(Int(step >> 3 & 3))
        case 2, 3:
            backend.arrivedByteCounts.append(Int(step >> 3) * 2200)
            device.processQueue(0)
        case 4: backend.hasRoom.toggle()
        case 5: device.drain(.everything)
        case 6: backend.hasEnded = step == 0xfe
        default:
            device.reset()
            try? device.accept(context.features)
            try? device.activate(context)
        }
    }
}

/// A back end that writes as many bytes as it was told, wherever it may, and reads all that it gets.
private final class FuzzBackend: NetworkBackend {
    let hasOffloadHeader: Bool
    var arrivedByteCounts: [Int] = []
    var hasRoom = true
    var hasEnded = false
    private let event = try? EventFD()

    init(hasOffloadHeader: Bool) { self.hasOffloadHeader = hasOffloadHeader }

    var descriptor: FileDescriptor { event?.descriptor ?? .standardInput }

    func setOffloads(_ offloads: NetworkOffloads) {}

    func send(_ frame: inout FrameVectors) -> NetworkSending {
        guard !hasEnded else { return .closed(.peerClosed("fuzz")) }
        guard hasRoom else { return .full }
        var bytes: [UInt8] = []
        frame.append(to: &bytes, from: 0)
        precondition(bytes.count == frame.byteCount)
        precondition(bytes.count <= NetworkFrame.headerByteCount + NetworkFrame.maximumByteCount)
        return .sent
    }

    func flush() -> NetworkSending { .sent }

    func receive(into frame: inout FrameVectors) -> NetworkReceiving {
        guard !hasEnded else { return .closed(.peerClosed("fuzz")) }
        guard let byteCount = arrivedByteCounts.popLast() else { return .empty }
        guard NetworkFrame.minimumByteCount...frame.byteCount ~= byteCount else { return .dropped }
        let bytes = [UInt8](repeating: 0xff, count: byteCount)
        unsafe bytes.withUnsafeBytes { unsafe frame.copy($0) }
        return .frame(byteCount: byteCount)
    }
}
