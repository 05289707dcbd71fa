// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import GuestMemory

extension FirmwareDescription {
    /// A machine with the APIC ids 0 to `cpus - 1` and the given number of virtio devices.
    static func example(
        cpus: UInt32 = 1,
        virtioDevices: Int = 0,
        devices: Devices = .all,
        timerGSI: UInt32 = 0
    ) -> Self {
        FirmwareDescription(
            apicIDs: Array(0..<cpus),
            devices: devices,
            virtioDevices: X86Layout.deviceGSIs.prefix(virtioDevices).enumerated().map { index, gsi in
                VirtioDevice(
                    base: GuestAddress(
                        rawValue: X86Layout.virtioMMIO.rawValue + UInt64(index) * X86Layout.virtioMMIOWindow
                    ),
                    gsi: gsi
                )
            },
            timerGSI: timerGSI
        )
    }
}

extension Collection where Element == UInt8, Index == Int {
    /// The little-endian integer at the byte `offset` from the start.
    func integer<T: FixedWidthInteger>(_ type: T.Type = T.self, at offset: Int) -> T {
        self[(startIndex + offset)..<(startIndex + offset + T.bitWidth / 8)].reversed().reduce(0) { $0 << 8 | T($1) }
    }

    /// The sum of the bytes modulo 256: 0 for a correct table.
    var checksum: UInt8 { reduce(0, &+) }
}

/// The bytes of "1f 20" and the like.
func bytes(_ hexadecimal: String) -> [UInt8] {
    hexadecimal.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
}
