// SPDX-License-Identifier: Apache-2.0

/// The places of state components in an XSAVE area.
///
/// Intel SDM volume 1, 13.4 "XSAVE Area".
struct XSAVELayout {
    /// Component 0.
    static let x87: UInt64 = 1 << 0
    /// Component 1.
    static let sse: UInt64 = 1 << 1
    /// Component 2.
    static let avx: UInt64 = 1 << 2
    /// Bit 63 of XCOMP_BV: the area has the compacted format.
    static let compacted: UInt64 = 1 << 63

    /// MXCSR and MXCSR_MASK.
    static let mxcsr = 24..<32

    /// The components beyond x87 and SSE that are part of the area, and where each starts.
    let extended: [(component: ExtendedState.Component, offset: Int)]
    /// The size of the area.
    let byteCount: Int

    /// The standard format for some of the components.
    init(standard components: UInt64, of state: ExtendedState) {
        extended = state.components.filter { components.contains($0) }.map { ($0, $0.standardOffset) }
        byteCount = Self.end(of: extended)
    }

    /// The compacted format (Intel SDM volume 1, 13.4.3 "Extended Region of an XSAVE Area").
    init(compacted components: UInt64, of state: ExtendedState) {
        var offset = ExtendedState.minimumByteCount
        var extended: [(component: ExtendedState.Component, offset: Int)] = []
        for component in state.components where components.contains(component) {
            if component.isAligned { offset = (offset + 63) & ~63 }
            extended.append((component, offset))
            offset += component.byteCount
        }
        self.extended = extended
        byteCount = Self.end(of: extended)
    }

    private static func end(of extended: [(component: ExtendedState.Component, offset: Int)]) -> Int {
        extended.map { $0.offset + $0.component.byteCount }.max() ?? ExtendedState.minimumByteCount
    }

    /// The byte ranges of the x87 component (Intel SDM volume 1, 13.5.1): everything but MXCSR and the XMM registers.
    static let x87Ranges = [0..<24, 32..<160]

    /// The byte range of the XMM registers (Intel SDM volume 1, 13.5.2).
    static func xmmRange(_ codeSize: CodeSize) -> Range<Int> {
        codeSize == .bits64 ? 160..<416 : 160..<288
    }
}

extension UInt64 {
    /// Returns whether a bitmap of state components has one of them.
    func contains(_ component: ExtendedState.Component) -> Bool {
        self >> UInt64(component.index) & 1 != 0
    }
}
