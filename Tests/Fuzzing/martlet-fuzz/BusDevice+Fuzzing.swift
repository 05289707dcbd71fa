// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport

extension BusDevice {
    /// One access of a width of 1, 2, 4 or 8 bytes, as bits 0 and 1 of `kind` say; bit 2 makes it a write.
    func access(_ kind: UInt8, at offset: UInt64, _ input: inout FuzzInput) {
        switch kind & 7 {
        case 0: _ = read(UInt8.self, at: offset)
        case 1: _ = read(UInt16.self, at: offset)
        case 2: _ = read(UInt32.self, at: offset)
        case 3: _ = read(UInt64.self, at: offset)
        case 4: write(input.byte(), at: offset)
        case 5: write(input.integer(UInt16.self), at: offset)
        case 6: write(input.integer(UInt32.self), at: offset)
        default: write(input.integer(UInt64.self), at: offset)
        }
    }
}
