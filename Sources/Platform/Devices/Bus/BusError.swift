// SPDX-License-Identifier: Apache-2.0

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
