// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The state of a `PCIHostBridge` for a snapshot.
package struct PCIHostBridgeState: Codable, Hashable, Sendable {
    /// `CONFIG_ADDRESS`, as it is read.
    package var address: UInt32 = 0

    package init() {}
}

/// The smallest PCI host bridge: a bus 0 on which nothing is but the bridge itself.
///
/// Kernels that look for PCI by configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2) then find an empty bus and continue;
/// without a bridge they warn of a machine that cannot be configured. Eight ports: `CONFIG_ADDRESS` at 0, which only a
/// 32-bit access reaches, and `CONFIG_DATA` at 4. The byte at 1 is the reset control register of Intel's bridges, which
/// Linux writes for `reboot=pci`.
package final class PCIHostBridge: BusDevice {
    private enum Port {
        static let address: UInt64 = 0
        static let resetControl: UInt64 = 1
        static let data: UInt64 = 4
    }

    /// Bit 31 of `CONFIG_ADDRESS` lets accesses to `CONFIG_DATA` through; bits 30 to 24, 1 and 0 do not exist.
    private static let enable: UInt32 = 1 << 31
    private static let addressBits: UInt32 = 0x80ff_fffc
    /// Bit 2 of the reset control register, when it rises.
    private static let resetCPU: UInt8 = 1 << 2
    /// Configuration space of bus 0, device 0, function 0, as far as it is not 0: vendor and device, then class and revision.
    ///
    /// The identifier of a host bridge for virtual machines, for which no kernel has a work-around; class 06 00 00.
    private static let registers: [UInt32: UInt32] = [0x00: 0x0d57_8086, 0x08: 0x0600_0000]

    private let address: Mutex<UInt32>
    private let onRequest: GuestRequestHandler

    package init(state: PCIHostBridgeState = PCIHostBridgeState(), onRequest: @escaping GuestRequestHandler) {
        self.address = Mutex(state.address & Self.addressBits)
        self.onRequest = onRequest
    }

    package var state: PCIHostBridgeState {
        var state = PCIHostBridgeState()
        state.address = address.withLock { $0 }
        return state
    }

    package func restore(_ state: PCIHostBridgeState) {
        address.withLock { $0 = state.address & Self.addressBits }
    }

    package func read(at offset: UInt64, into data: inout MutableRawSpan) {
        let address = address.withLock { $0 }
        var value = UInt64.max
        if offset == Port.address, data.byteCount == 4 {
            value = UInt64(address)
        } else if Port.data..<8 ~= offset {
            value = ~0 << 32 | UInt64(Self.register(at: address))
            value = UInt64(bitPattern: Int64(bitPattern: value) >> Int64(8 * (offset - Port.data)))
        }
        for index in 0..<data.byteCount {
            let byte = index < 8 ? UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) : .max
            data.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
    }

    package func write(at offset: UInt64, from data: RawSpan) {
        if offset == Port.address, data.byteCount == 4 {
            let value = UInt32(truncatingIfNeeded: data.littleEndianValue)
            address.withLock { $0 = value & Self.addressBits }
        } else if offset == Port.resetControl, data.byteCount == 1, data.byte(at: 0) & Self.resetCPU != 0 {
            onRequest(.reset)
        }
        // The bridge's own registers are read-only.
    }

    /// The register that `CONFIG_ADDRESS` selects; all ones for a function that does not exist, or none.
    private static func register(at address: UInt32) -> UInt32 {
        guard address & enable != 0, address & 0x00ff_ff00 == 0 else { return .max }
        return registers[address & 0xfc] ?? 0
    }
}
