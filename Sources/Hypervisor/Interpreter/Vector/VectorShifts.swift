// SPDX-License-Identifier: Apache-2.0

/// Makes vector functions that shift every lane by one count.
///
/// Swift's `<<` and `>>` treat a count beyond the lane as the instructions do: zeros, or copies of the sign.
enum VectorShifts {
    /// The source of a shift's count.
    typealias Count = @Sendable (VectorOperands) -> UInt64

    /// The low 64 bits of the source.
    static let bySource: Count = { $0.source.low }
    /// The immediate byte.
    static let byImmediate: Count = { UInt64($0.immediate) }

    /// A shift of 16-bit lanes.
    static func words(
        _ count: @escaping Count,
        _ shift: @escaping @Sendable (UInt16, UInt64) -> UInt16
    ) -> VectorFunction {
        { operands in Lanes.words { lane, _ in shift(lane, count(operands)) }(operands) }
    }

    /// A shift of 32-bit lanes.
    static func doublewords(
        _ count: @escaping Count,
        _ shift: @escaping @Sendable (UInt32, UInt64) -> UInt32
    ) -> VectorFunction {
        { operands in Lanes.doublewords { lane, _ in shift(lane, count(operands)) }(operands) }
    }

    /// A shift of 64-bit lanes.
    static func quadwords(
        _ count: @escaping Count,
        _ shift: @escaping @Sendable (UInt64, UInt64) -> UInt64
    ) -> VectorFunction {
        { operands in Lanes.quadwords { lane, _ in shift(lane, count(operands)) }(operands) }
    }

    /// An arithmetic shift to the right of a 16-bit lane.
    static func arithmetic(_ lane: UInt16, _ count: UInt64) -> UInt16 {
        UInt16(bitPattern: Int16(bitPattern: lane) >> count)
    }

    /// An arithmetic shift to the right of a 32-bit lane.
    static func arithmetic(_ lane: UInt32, _ count: UInt64) -> UInt32 {
        UInt32(bitPattern: Int32(bitPattern: lane) >> count)
    }

    /// `pslldq`: the whole register by bytes.
    static let bytesLeft: VectorFunction = { Vector128($0.destination.integer << (8 * UInt64($0.immediate))) }
    /// `psrldq`: the whole register by bytes.
    static let bytesRight: VectorFunction = { Vector128($0.destination.integer >> (8 * UInt64($0.immediate))) }
}
