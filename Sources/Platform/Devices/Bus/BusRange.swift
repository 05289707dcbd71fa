// SPDX-License-Identifier: Apache-2.0

/// A window on a bus: its start and its number of addresses.
package struct BusRange: Hashable, Sendable, CustomStringConvertible {
    package let start: UInt64
    package let byteCount: UInt64

    package init(start: UInt64, byteCount: UInt64) {
        self.start = start
        self.byteCount = byteCount
    }

    package var description: String {
        let last = start &+ byteCount &- 1
        return byteCount == 0
            ? "nothing at 0x\(String(start, radix: 16))"
            : "0x\(String(start, radix: 16))-0x\(String(last, radix: 16))"
    }
}
