// SPDX-License-Identifier: Apache-2.0

/// Collects the devices of one bus while a machine is put together; `build()` then fixes the table for good.
package struct BusBuilder: Sendable {
    private let lastAddress: UInt64
    private var windows: [(window: Bus.Window, name: String)] = []

    /// - Parameter lastAddress: The highest address of this bus, 0xFFFF for ports.
    package init(lastAddress: UInt64) {
        self.lastAddress = lastAddress
    }

    /// A builder for the x86 port space: 65,536 ports (Intel SDM volume 1, 19.3).
    package static var ports: Self { Self(lastAddress: 0xffff) }

    /// A builder for memory-mapped devices anywhere in a 64-bit physical address space.
    package static var memory: Self { Self(lastAddress: .max) }

    /// Gives `device` the addresses of `range`.
    ///
    /// - Parameters:
    ///   - device: The device; it may be inserted more than once and then cannot tell its windows apart.
    ///   - range: The window.
    ///   - name: What messages call the device.
    /// - Throws: `BusError` if the window is empty, leaves the address space or overlaps another one.
    package mutating func insert(_ device: any BusDevice, at range: BusRange, named name: String) throws(BusError) {
        guard range.byteCount > 0 else { throw .empty(device: name, range) }
        let (last, overflow) = range.start.addingReportingOverflow(range.byteCount - 1)
        guard !overflow, last <= lastAddress else {
            throw .beyondAddressSpace(device: name, range, last: lastAddress)
        }
        for (window, other) in windows where range.start <= window.last && window.first <= last {
            throw .overlap(device: name, range, with: other, window.range)
        }
        windows.append((Bus.Window(first: range.start, last: last, device: device), name))
    }

    package func build(faults: GuestFaultLog) -> Bus {
        let sorted = windows.sorted { $0.window.first < $1.window.first }
        return Bus(windows: sorted.map(\.window), names: sorted.map(\.name), faults: faults)
    }
}

/// The reason why a device could not be given its window on a bus: always a mistake in how the machine is put together.
package enum BusError: Error, Hashable, CustomStringConvertible {
    /// The window has no addresses.
    case empty(device: String, BusRange)
    /// The window reaches past `last`, the highest address of this bus.
    case beyondAddressSpace(device: String, BusRange, last: UInt64)
    /// Another device already answers at some of these addresses.
    case overlap(device: String, BusRange, with: String, BusRange)

    package var description: String {
        switch self {
        case .empty(let device, let range):
            "cannot place \(device) on the bus: its window is empty (\(range))"
        case .beyondAddressSpace(let device, let range, let last):
            """
            cannot place \(device) on the bus: its window at 0x\(String(range.start, radix: 16)) of \
            \(range.byteCount) bytes ends beyond the last address, 0x\(String(last, radix: 16))
            """
        case .overlap(let device, let range, let other, let otherRange):
            "cannot place \(device) on the bus at \(range): \(other) already answers at \(otherRange)"
        }
    }
}
