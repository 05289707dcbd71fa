// SPDX-License-Identifier: Apache-2.0

/// The XSAVE-managed state of a processor, as `KVM_GET_XSAVE2` gives it.
///
/// Intel SDM volume 1, chapter 13 "Managing State Using the XSAVE Feature Set".
package struct ExtendedState: Equatable, Sendable {
    /// One state component beyond x87 and SSE, as CPUID leaf 0xD describes it.
    package struct Component: Equatable, Sendable {
        /// The component's number: its bit in XCR0 or IA32_XSS, and its sub-leaf.
        package var index: Int
        /// EBX of the sub-leaf: where it lies in the standard format.
        package var standardOffset: Int
        /// EAX of the sub-leaf: its size.
        package var byteCount: Int
        /// Bit 1 of ECX of the sub-leaf: in the compacted format it starts at a multiple of 64.
        package var isAligned: Bool

        /// Describes a component.
        package init(index: Int, standardOffset: Int, byteCount: Int, isAligned: Bool) {
            self.index = index
            self.standardOffset = standardOffset
            self.byteCount = byteCount
            self.isAligned = isAligned
        }
    }

    /// An XSAVE area in the standard format; the XSTATE_BV field of its header tells what is in use.
    package var area: [UInt8]
    package var xcr0: UInt64
    /// IA32_XSS.
    package var xss: UInt64
    /// The components beyond x87 and SSE that the processor has, in ascending order.
    package var components: [Component]

    /// The offset of the XSAVE header.
    static let headerOffset = 512
    /// The size of the legacy region and the header together.
    static let minimumByteCount = 576

    /// Makes the state.
    ///
    /// - Parameters:
    ///   - area: At least 576 bytes, and room for each of `components`, in the standard format.
    ///   - xcr0: XCR0.
    ///   - xss: IA32_XSS.
    ///   - components: The components beyond x87 and SSE, in ascending order.
    package init(area: [UInt8], xcr0: UInt64, xss: UInt64 = 0, components: [Component]) {
        precondition(area.count >= Self.minimumByteCount)
        precondition(components.allSatisfy { (2...62).contains($0.index) && $0.byteCount > 0 })
        precondition(components.allSatisfy { $0.standardOffset >= Self.minimumByteCount })
        precondition(components.allSatisfy { $0.standardOffset + $0.byteCount <= area.count })
        self.area = area
        self.xcr0 = xcr0
        self.xss = xss
        self.components = components
    }

    /// XSTATE_BV: the components that are not in their initial configuration.
    var inUse: UInt64 {
        get { unsafe area.span.bytes.integer(at: Self.headerOffset) }
        set { area.storeInteger(newValue, at: Self.headerOffset) }
    }

    var mxcsr: UInt32 {
        get { unsafe area.span.bytes.integer(at: 24) }
        set { area.storeInteger(newValue, at: 24) }
    }

    /// The MXCSR bits that exist.
    var writableMXCSR: UInt32 {
        let mask: UInt32 = unsafe area.span.bytes.integer(at: 28)
        return mask == 0 ? 0xFFBF : mask
    }
}

extension [UInt8] {
    /// Stores a little-endian integer at a byte offset.
    mutating func storeInteger<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        var span = mutableSpan
        var bytes = unsafe span.mutableBytes  // bytes of a byte array: any value is valid
        bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }
}
