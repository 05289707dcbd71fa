// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport

extension SerialPort {
    /// Reads what a polling guest reads until `count` bytes have come.
    func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try Deadline.wait(for: "\(count) bytes in the guest") {
            // No longer than there are bytes: asking without a rest would keep the lock from the console's thread.
            while bytes.count < count, readByte(at: 5) & 1 != 0 { bytes.append(readByte(at: 0)) }
            return bytes.count == count
        }
        return bytes
    }
}
