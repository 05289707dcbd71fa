// SPDX-License-Identifier: Apache-2.0

/// The x87, MXCSR and XMM state: what FXSAVE stores, and what `struct kvm_fpu` holds.
///
/// Intel SDM volume 1, 10.5.1 "FXSAVE Area".
package struct FloatingPointState: Sendable {
    /// FCW.
    package var controlWord: UInt16 = 0x037F
    /// FSW.
    package var statusWord: UInt16 = 0
    /// FTW in the abridged form: one bit per register, set when it is not empty.
    package var abridgedTagWord: UInt8 = 0
    /// FOP.
    package var lastOpcode: UInt16 = 0
    /// FIP.
    package var lastInstructionPointer: UInt64 = 0
    /// FDP.
    package var lastDataPointer: UInt64 = 0
    package var mxcsr: UInt32 = Self.initialMXCSR
    /// The MXCSR bits that exist; 0 stands for `0xFFBF`.
    package var mxcsrMask: UInt32 = 0xFFFF
    /// ST0 to ST7, ten bytes each.
    package var stack: [8 of Vector128] = [8 of Vector128](repeating: Vector128())
    /// XMM0 to XMM15.
    package var xmm: [16 of Vector128] = [16 of Vector128](repeating: Vector128())

    /// MXCSR after a reset.
    package static let initialMXCSR: UInt32 = 0x1F80
    /// The size of the legacy region of an XSAVE area, and of an FXSAVE area.
    package static let legacyRegionByteCount = 512

    /// Makes the state that a processor has after a reset and `fninit`.
    package init() {}

    /// The MXCSR bits that `ldmxcsr` may set (Intel SDM volume 1, 11.6.6 "Guidelines for Writing to MXCSR").
    var writableMXCSR: UInt32 { mxcsrMask == 0 ? 0xFFBF : mxcsrMask }
}

extension FloatingPointState {
    /// Reads the 64-bit FXSAVE image at the start of `region`, which is also the start of every XSAVE area.
    ///
    /// - Parameter region: At least 512 bytes.
    package init(legacyRegion region: RawSpan) {
        precondition(region.byteCount >= Self.legacyRegionByteCount)
        controlWord = region.integer(at: 0)
        statusWord = region.integer(at: 2)
        abridgedTagWord = region.integer(at: 4)
        lastOpcode = region.integer(at: 6)
        lastInstructionPointer = region.integer(at: 8)
        lastDataPointer = region.integer(at: 16)
        mxcsr = region.integer(at: 24)
        mxcsrMask = region.integer(at: 28)
        for index in stack.indices { stack[index] = Vector128(region.integer(at: 32 + 16 * index)) }
        for index in xmm.indices { xmm[index] = Vector128(region.integer(at: 160 + 16 * index)) }
    }

    /// Writes the state as a 64-bit FXSAVE image and leaves the bytes that are not part of it.
    ///
    /// - Parameter region: At least 512 bytes.
    package func store(intoLegacyRegion region: inout MutableRawSpan) {
        precondition(region.byteCount >= Self.legacyRegionByteCount)
        region.storeBytes(of: controlWord, toByteOffset: 0, as: UInt16.self)
        region.storeBytes(of: statusWord, toByteOffset: 2, as: UInt16.self)
        region.storeBytes(of: abridgedTagWord, toByteOffset: 4, as: UInt8.self)
        region.storeBytes(of: lastOpcode, toByteOffset: 6, as: UInt16.self)
        region.storeBytes(of: lastInstructionPointer, toByteOffset: 8, as: UInt64.self)
        region.storeBytes(of: lastDataPointer, toByteOffset: 16, as: UInt64.self)
        region.storeBytes(of: mxcsr, toByteOffset: 24, as: UInt32.self)
        region.storeBytes(of: mxcsrMask, toByteOffset: 28, as: UInt32.self)
        for index in stack.indices {
            region.storeBytes(of: stack[index].integer, toByteOffset: 32 + 16 * index, as: UInt128.self)
        }
        for index in xmm.indices {
            region.storeBytes(of: xmm[index].integer, toByteOffset: 160 + 16 * index, as: UInt128.self)
        }
    }
}

extension FloatingPointState {
    /// Pushes an integer on the register stack, as `fild` does (Intel SDM volume 1, 8.1.2 "x87 FPU Data Registers" and
    /// 8.5.1.1 "Stack Overflow or Underflow Exception").
    mutating func push(_ integer: Int32) {
        let top = (statusWord >> 11 &- 1) & 7
        statusWord &= ~(1 << 9)  // C1
        let overflows = abridgedTagWord & 1 << top != 0
        if overflows {
            statusWord |= 1 << 9 | 1 << 6 | 1  // C1, SF, IE
            guard controlWord & 1 != 0 else {
                statusWord |= 0x8080  // B, ES
                return
            }
        }
        for index in (1..<8).reversed() { stack[index] = stack[index - 1] }
        stack[0] = overflows ? Vector128(low: 0xC000_0000_0000_0000, high: 0xFFFF) : Self.extended(integer)
        statusWord = statusWord & ~0x3800 | top << 11
        abridgedTagWord |= 1 << top
    }

    /// An integer in the double extended-precision format (Intel SDM volume 1, 4.2.2).
    private static func extended(_ integer: Int32) -> Vector128 {
        guard integer != 0 else { return Vector128() }
        let magnitude = UInt64(integer.magnitude)
        let shift = magnitude.leadingZeroBitCount
        return Vector128(low: magnitude << UInt64(shift), high: UInt64(16383 + 63 - shift) | (integer < 0 ? 0x8000 : 0))
    }
}

extension FloatingPointState: Equatable {
    /// Returns whether every field and register is the same.
    package static func == (lhs: FloatingPointState, rhs: FloatingPointState) -> Bool {
        lhs.controlWord == rhs.controlWord && lhs.statusWord == rhs.statusWord
            && lhs.abridgedTagWord == rhs.abridgedTagWord && lhs.lastOpcode == rhs.lastOpcode
            && lhs.lastInstructionPointer == rhs.lastInstructionPointer && lhs.lastDataPointer == rhs.lastDataPointer
            && lhs.mxcsr == rhs.mxcsr && lhs.mxcsrMask == rhs.mxcsrMask
            && lhs.stack.indices.allSatisfy { lhs.stack[$0] == rhs.stack[$0] }
            && lhs.xmm.indices.allSatisfy { lhs.xmm[$0] == rhs.xmm[$0] }
    }
}
