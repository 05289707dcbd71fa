// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The segments of the entry state and the GDT that holds them.
///
/// Selectors are Linux's `__BOOT_CS` (0x10), `__BOOT_DS` (0x18) and `__BOOT_TSS` (0x20), which its 64-bit protocol
/// demands; PVH leaves them open.
struct EntrySegments: Hashable {
    let code: BootState.Segment
    let data: BootState.Segment
    let task: BootState.Segment

    init(isLong: Bool) {
        code = Self.flat(selector: 0x10, type: 0xb, isLong: isLong, isDefault32: !isLong)  // execute, read, accessed
        data = Self.flat(selector: 0x18, type: 0x3, isLong: false, isDefault32: true)  // read, write, accessed
        task = BootState.Segment(
            selector: 0x20,
            base: 0,
            limit: 0x67,
            type: 0xb,  // busy TSS
            isCodeOrData: false,
            isLong: false,
            isDefault32: false,
            isGranular: false
        )
    }

    /// The descriptors: null, unused, code, data, and the TSS in two halves.
    var table: [UInt64] {
        [0, 0, Self.descriptor(code), Self.descriptor(data), Self.descriptor(task), 0]
    }

    static let tableByteCount: UInt64 = 6 * 8

    private static func flat(selector: UInt16, type: UInt8, isLong: Bool, isDefault32: Bool) -> BootState.Segment {
        BootState.Segment(
            selector: selector,
            base: 0,
            limit: .max,
            type: type,
            isCodeOrData: true,
            isLong: isLong,
            isDefault32: isDefault32,
            isGranular: true
        )
    }

    /// Intel SDM volume 3, figure 3-8; every segment is present and of privilege level 0.
    private static func descriptor(_ segment: BootState.Segment) -> UInt64 {
        let limit = UInt64(segment.isGranular ? segment.limit >> 12 : segment.limit)
        var value = limit & 0xffff | (limit >> 16 & 0xf) << 48
        value |= (segment.base & 0xff_ffff) << 16 | (segment.base >> 24 & 0xff) << 56
        value |= UInt64(segment.type) << 40 | 1 << 47
        value |= segment.isCodeOrData ? 1 << 44 : 0
        value |= segment.isLong ? 1 << 53 : 0
        value |= segment.isDefault32 ? 1 << 54 : 0
        value |= segment.isGranular ? 1 << 55 : 0
        return value
    }
}
