// SPDX-License-Identifier: Apache-2.0

/// Makes ELF images, sound ones and others.
struct ELFBuilder {
    struct Segment {
        var type: UInt32 = 1
        var physical: UInt64
        var virtual: UInt64
        var content: [UInt8]
        var memoryByteCount: UInt64
        var alignment: UInt64 = 0x1000

        init(physical: UInt64, virtual: UInt64? = nil, content: [UInt8], memoryByteCount: Int? = nil) {
            self.physical = physical
            self.virtual = virtual ?? physical
            self.content = content
            self.memoryByteCount = UInt64(memoryByteCount ?? content.count)
        }

        /// A `PT_NOTE` with the PVH entry point.
        static func pvhNote(_ entry: UInt64, valueByteCount: Int = 8, alignment: UInt64 = 4) -> Segment {
            var note = Bytes(count: 16 + valueByteCount)
            note.put(4 as UInt32, at: 0)
            note.put(UInt32(valueByteCount), at: 4)
            note.put(18 as UInt32, at: 8)
            note.put(Array("Xen\0".utf8), at: 12)
            for index in 0..<valueByteCount {
                note.put(UInt8(truncatingIfNeeded: entry >> (8 * index)), at: 16 + index)
            }
            return .note(note.all, alignment: alignment)
        }

        static func note(_ content: [UInt8], alignment: UInt64 = 4) -> Segment {
            var segment = Segment(physical: 0, content: content)
            segment.type = 4
            segment.alignment = alignment
            return segment
        }
    }

    static let linuxText: UInt64 = 0x100_0000
    static let linuxData: UInt64 = 0x110_0000
    static let linuxVirtualOffset: UInt64 = 0xffff_ffff_8000_0000

    var is64Bit = true
    var machine: UInt16 = 62
    var type: UInt16 = 2
    var entry: UInt64
    var segments: [Segment]

    /// An image laid out like Linux's `vmlinux`: linked high, loaded at 16 MiB, entered at a physical address.
    static func linux(textByteCount: Int = 200_000, pvhEntry: UInt64? = nil) -> ELFBuilder {
        var builder = ELFBuilder(
            entry: linuxText + 0x40,
            segments: [
                Segment(
                    physical: linuxText,
                    virtual: linuxText + linuxVirtualOffset,
                    content: codeLikeBytes(textByteCount, seed: 1)
                ),
                Segment(
                    physical: linuxData,
                    virtual: linuxData + linuxVirtualOffset,
                    content: codeLikeBytes(10_000, seed: 2),
                    memoryByteCount: 500_000
                ),
            ]
        )
        if let pvhEntry { builder.segments.append(.pvhNote(pvhEntry)) }
        return builder
    }

    /// An image that is loaded where it is linked.
    static func tiny(at address: UInt64, content: [UInt8] = [0xf4]) -> ELFBuilder {
        ELFBuilder(entry: address, segments: [Segment(physical: address, content: content)])
    }

    /// The offset of each segment's content in the file.
    var contentOffsets: [Int] {
        var offset = (headerByteCount + segments.count * entryByteCount + 0xfff) / 0x1000 * 0x1000
        return segments.map { segment in
            defer { offset += (segment.content.count + 0xfff) / 0x1000 * 0x1000 }
            return offset
        }
    }

    private var headerByteCount: Int { is64Bit ? 64 : 52 }
    private var entryByteCount: Int { is64Bit ? 56 : 32 }

    func build() -> [UInt8] {
        var file = Bytes(count: headerByteCount)
        file.put([0x7f, 0x45, 0x4c, 0x46, is64Bit ? 2 : 1, 1, 1], at: 0)
        file.put(type, at: 16)
        file.put(machine, at: 18)
        file.put(1 as UInt32, at: 20)
        if is64Bit {
            file.put(entry, at: 24)
            file.put(UInt64(headerByteCount), at: 32)
        } else {
            file.put(UInt32(truncatingIfNeeded: entry), at: 24)
            file.put(UInt32(headerByteCount), at: 28)
        }
        file.put(UInt16(entryByteCount), at: is64Bit ? 54 : 42)
        file.put(UInt16(segments.count), at: is64Bit ? 56 : 44)
        for (index, (segment, offset)) in zip(segments, contentOffsets).enumerated() {
            put(segment, offset: offset, at: headerByteCount + index * entryByteCount, &file)
            file.put(segment.content, at: offset)
        }
        return file.all
    }

    private func put(_ segment: Segment, offset: Int, at header: Int, _ file: inout Bytes) {
        file.put(segment.type, at: header)
        let wide: [UInt64] = [
            UInt64(offset), segment.virtual, segment.physical, UInt64(segment.content.count), segment.memoryByteCount,
        ]
        for (index, value) in wide.enumerated() {
            if is64Bit {
                file.put(value, at: header + 8 + 8 * index)
            } else {
                file.put(UInt32(truncatingIfNeeded: value), at: header + 4 + 4 * index)
            }
        }
        if is64Bit {
            file.put(segment.alignment, at: header + 48)
        } else {
            file.put(UInt32(segment.alignment), at: header + 28)
        }
    }
}
