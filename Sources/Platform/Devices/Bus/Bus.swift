// SPDX-License-Identifier: Apache-2.0

/// A port bus or an MMIO bus: finds the device at an address.
///
/// The table never changes after `BusBuilder.build(faults:)`, so every vCPU searches it at once without a lock. What no
/// device claims floats as on an ISA bus: reads give all ones, writes go nowhere, both are counted.
package final class Bus: Sendable {
    struct Window: Sendable {
        let first: UInt64
        /// Inclusive, so that a window may end with the address space.
        let last: UInt64
        let device: any BusDevice

        var range: BusRange { BusRange(start: first, byteCount: last - first + 1) }

        func contains(_ address: UInt64, byteCount: Int) -> Bool {
            address >= first && address <= last && UInt64(byteCount) &- 1 <= last - address
        }
    }

    /// Sorted by address, without overlap.
    private let windows: [Window]
    /// The devices' names in the order of `windows`, apart from them: the exit path copies a window.
    private let names: [String]
    private let faults: GuestFaultLog

    init(windows: [Window], names: [String], faults: GuestFaultLog) {
        self.windows = windows
        self.names = names
        self.faults = faults
    }

    /// The windows of the devices, lowest address first, with their names.
    package var ranges: [(name: String, range: BusRange)] {
        zip(names, windows).map { ($0, $1.range) }
    }

    /// The number of accesses, or of bytes of accesses that straddle a window, that found no device.
    package var unclaimedAccessCount: UInt64 { faults.count }

    /// Answers a guest read of `data.byteCount` bytes at `address`.
    package func read(at address: UInt64, into data: inout MutableRawSpan) {
        switch claim(at: address, byteCount: data.byteCount) {
        case .whole(let device, let offset):
            device.read(at: offset, into: &data)
        case .partial:
            readByByte(at: address, into: &data)
        case .none:
            let byteCount = data.byteCount
            faults.record("read of \(byteCount) bytes at 0x\(String(address, radix: 16)): no device")
            data.fill(with: 0xff)
        }
    }

    /// Takes a guest write of `data.byteCount` bytes at `address`.
    package func write(at address: UInt64, from data: RawSpan) {
        switch claim(at: address, byteCount: data.byteCount) {
        case .whole(let device, let offset):
            device.write(at: offset, from: data)
        case .partial:
            writeByByte(at: address, from: data)
        case .none:
            let (byteCount, value) = (data.byteCount, data.littleEndianValue)
            faults.record(
                """
                write of 0x\(String(value, radix: 16)) (\(byteCount) bytes) at 0x\(String(address, radix: 16)): no device
                """
            )
        }
    }

    // MARK: - Lookup

    private enum Claim {
        /// One device claims every byte.
        case whole(device: any BusDevice, offset: UInt64)
        /// The access crosses the edge of at least one window.
        case partial
        /// No device claims any byte.
        case none
    }

    private func claim(at address: UInt64, byteCount: Int) -> Claim {
        let index = firstWindow(endingAtOrAfter: address)
        guard index < windows.count, byteCount > 0 else { return .none }
        let window = windows[index]
        guard window.first <= address else {
            return window.first - address < UInt64(byteCount) ? .partial : .none
        }
        return window.contains(address, byteCount: byteCount)
            ? .whole(device: window.device, offset: address - window.first)
            : .partial
    }

    /// Binary search: the only window that can claim `address`; `windows.count` if all end before it.
    private func firstWindow(endingAtOrAfter address: UInt64) -> Int {
        var low = 0
        var high = windows.count
        while low < high {
            let middle = (low + high) / 2
            if windows[middle].last < address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The access to byte `index` of an access that straddles; nil beyond the address space or without a device.
    private func claim(ofByte index: Int, at address: UInt64) -> (device: any BusDevice, offset: UInt64)? {
        let (target, overflow) = address.addingReportingOverflow(UInt64(index))
        if !overflow, case .whole(let device, let offset) = claim(at: target, byteCount: 1) {
            return (device, offset)
        }
        faults.record("byte \(index) of an access at 0x\(String(address, radix: 16)) is next to a device: no device")
        return nil
    }

    // MARK: - Accesses that straddle the edge of a window

    /// Splits a read as the hardware does: each byte goes to the device that claims it.
    private func readByByte(at address: UInt64, into data: inout MutableRawSpan) {
        for index in 0..<data.byteCount {
            var byte: [1 of UInt8] = [0xff]
            if let claim = claim(ofByte: index, at: address) {
                var span = byte.mutableSpan
                // SAFETY: every bit pattern is a UInt8.
                var bytes = unsafe span.mutableBytes
                claim.device.read(at: claim.offset, into: &bytes)
            }
            data.storeBytes(of: byte[0], toByteOffset: index, as: UInt8.self)
        }
    }

    private func writeByByte(at address: UInt64, from data: RawSpan) {
        for index in 0..<data.byteCount {
            guard let claim = claim(ofByte: index, at: address) else { continue }
            claim.device.write(at: claim.offset, from: data.extracting(index..<index + 1))
        }
    }
}

/// An edge-triggered interrupt line of a device, wherever it leads (in a machine: an irqfd).
package protocol InterruptLine: Sendable {
    /// Raises one edge. Never blocks.
    func trigger()
}

/// A device behind one window of a bus: it sees offsets, never addresses.
///
/// Every vCPU may call at any time and from any thread; a device locks inside.
package protocol BusDevice: AnyObject, Sendable {
    /// Answers a guest read of `data.byteCount` bytes (1, 2, 4 or 8) at `offset` by filling all of `data`.
    func read(at offset: UInt64, into data: inout MutableRawSpan)
    /// Takes a guest write of `data.byteCount` bytes (1, 2, 4 or 8) at `offset`.
    func write(at offset: UInt64, from data: RawSpan)
}
