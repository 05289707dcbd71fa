// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// A guest that keeps its disk busy with as much work as one notification can order, and asks again when it is done.
///
/// All 256 heads of the virtqueue name one chain: a header, and descriptors for overlapping ranges all over guest memory.
enum HostileGuest {
    /// The requests that it sends.
    enum Load: CaseIterable {
        /// Requests of a type that no device knows, with 255 descriptors of nearly 16 MiB: 4 GiB each.
        case unknownRequests
        /// Reads of 254 MiB each, from the disk's start.
        case reads
    }

    private static let registers: UInt32 = 0xd000_0000
    /// The address of its tables: behind the code, which has a page.
    private static let tables = UInt32(TinyELF.address) + 4096
    private static let available = tables + 4096
    private static let used = available + 4096
    private static let header = used + 4096
    private static let status = header + 64

    /// The guest, which says `go` when the first requests are on their way.
    static func code(_ load: Load) -> [GuestCode] {
        var code: [GuestCode] = []
        func set(_ register: UInt32, _ value: UInt32) {
            code.append(.store(doubleword: value, at: registers + register))
        }
        // Virtio 1.2, 3.1.1 and 4.2.2: reset, ACKNOWLEDGE, DRIVER, VIRTIO_F_VERSION_1, FEATURES_OK.
        for value in [0, 1, 3] as [UInt32] { set(0x70, value) }
        set(0x24, 1)
        set(0x20, 1)
        set(0x70, 0xb)
        set(0x30, 0)
        set(0x38, 256)
        for (register, address) in [(0x80, tables), (0x90, available), (0xa0, used)] as [(UInt32, UInt32)] {
            set(register, address)
            set(register + 4, 0)
        }
        set(0x44, 1)
        set(0x70, 0xf)
        set(0x50, 0)
        code.append(.write("go"))
        // again: mov ax, [used index]; cmp ax, [available index]; jne again; add word [available index], 256; notify; jmp again
        let again =
            [0x66, 0x8b, 0x04, 0x25] + bytes(used + 2) + [0x66, 0x3b, 0x04, 0x25] + bytes(available + 2) + [0x75, 0xee]
            + [0x66, 0x81, 0x04, 0x25] + bytes(available + 2) + [0x00, 0x01]
        code.append(.forever([GuestCode(again), .store(doubleword: 0, at: registers + 0x50)]))
        let length = code.reduce(3) { $0 + $1.bytes.count }
        code.append(GuestCode([UInt8](repeating: 0, count: 4096 - length) + data(load)))
        return code
    }

    /// The descriptor table, the available ring with all heads, the used ring, and the header, a page each.
    private static func data(_ load: Load) -> [UInt8] {
        let (kind, segments, byteCount): (UInt32, Int, UInt32) =
            switch load {
            case .unknownRequests: (99, 255, (16 << 20) - 16)
            case .reads: (0, 254, 1 << 20)
            }
        var descriptors = descriptor(header, 16, flags: 1, next: 1)
        for index in 1...segments {
            let isLast = index == 255
            let address = (16 << 20) + UInt32(index) * (byteCount / 32)
            descriptors += descriptor(address, byteCount, flags: isLast ? 2 : 3, next: isLast ? 0 : UInt16(index) + 1)
        }
        if segments < 255 { descriptors += descriptor(status, 1, flags: 2, next: 0) }
        let ring: [UInt8] = [0, 0, 0, 1]
        return descriptors + ring + [UInt8](repeating: 0, count: 4092 + 4096) + bytes(kind)
            + [UInt8](repeating: 0, count: 4092)
    }

    private static func descriptor(_ address: UInt32, _ byteCount: UInt32, flags: UInt8, next: UInt16) -> [UInt8] {
        bytes(address) + [0, 0, 0, 0] + bytes(byteCount) + [flags, 0, UInt8(next & 0xff), UInt8(next >> 8)]
    }

    private static func bytes(_ value: UInt32) -> [UInt8] {
        [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
}
