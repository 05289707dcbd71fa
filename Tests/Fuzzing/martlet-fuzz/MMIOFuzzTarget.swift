// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Logging
import TestSupport
import Virtio

/// The input is a sequence of accesses to a virtio-mmio transport, whose device minds the order of what it is told.
///
/// Each step begins with a byte: bits 0 to 4 are the register, in their order, and bits 5 to 7 the access. The register
/// numbers from 28 on are other offsets, and the device's turn.
enum MMIOFuzzTarget {
    /// Never written: the transport only hands it on.
    private static let memory = try? GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 4096)])

    static func run(_ input: inout FuzzInput) {
        guard let memory else { fatalError("the host has no memory") }
        let device = RecordingVirtioDevice(isKeepingCalls: false)
        let faults = GuestFaultLog(device: "virtio", logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() })
        let line = RecordingInterruptLine()
        let transport = MMIOTransport(device: device, memory: memory, interrupt: line, faults: faults)
        let registers = MMIORegister.allCases
        while !input.isEmpty {
            let step = input.byte()
            let number = Int(step & 0x1f)
            switch number {
            case registers.indices: transport.access(step >> 5, at: registers[number].rawValue, &input)
            case 28: transport.access(step >> 5, at: UInt64(input.integer(UInt16.self)), &input)
            case 29: transport.access(step >> 5, at: input.integer(UInt64.self), &input)
            default: act(device, step >> 5)
            }
        }
        precondition(device.violations.isEmpty)
        let state = transport.state
        let other = RecordingVirtioDevice(isKeepingCalls: false)
        let copy = MMIOTransport(device: other, memory: memory, interrupt: line, faults: faults, state: state)
        precondition(copy.state == state)
    }

    private static func act(_ device: RecordingVirtioDevice, _ action: UInt8) {
        switch action {
        case 0: device.failActivation(with: .badSize(0))
        case 1: device.interrupt?.notifyNeedsReset(.badSize(0))
        case 2: device.interrupt?.notifyConfigurationChange()
        default: device.interrupt?.notifyUsedBuffers()
        }
    }
}
