// SPDX-License-Identifier: Apache-2.0

/// Makes vector functions from functions of one lane.
enum Lanes {
    /// A function of corresponding 8-bit lanes.
    static func bytes(_ function: @escaping @Sendable (UInt8, UInt8) -> UInt8) -> VectorFunction {
        { operands in
            Vector128(bytes: combine(operands.destination.bytes, operands.source.bytes, function))
        }
    }

    /// A function of corresponding 16-bit lanes.
    static func words(_ function: @escaping @Sendable (UInt16, UInt16) -> UInt16) -> VectorFunction {
        { operands in
            Vector128(words: combine(operands.destination.words, operands.source.words, function))
        }
    }

    /// A function of corresponding 32-bit lanes.
    static func doublewords(_ function: @escaping @Sendable (UInt32, UInt32) -> UInt32) -> VectorFunction {
        { operands in
            Vector128(doublewords: combine(operands.destination.doublewords, operands.source.doublewords, function))
        }
    }

    /// A function of corresponding 64-bit lanes.
    static func quadwords(_ function: @escaping @Sendable (UInt64, UInt64) -> UInt64) -> VectorFunction {
        { operands in
            Vector128(quadwords: combine(operands.destination.quadwords, operands.source.quadwords, function))
        }
    }

    /// A function of corresponding signed 8-bit lanes.
    static func signedBytes(_ function: @escaping @Sendable (Int8, Int8) -> Int8) -> VectorFunction {
        bytes { UInt8(bitPattern: function(Int8(bitPattern: $0), Int8(bitPattern: $1))) }
    }

    /// A function of corresponding signed 16-bit lanes.
    static func signedWords(_ function: @escaping @Sendable (Int16, Int16) -> Int16) -> VectorFunction {
        words { UInt16(bitPattern: function(Int16(bitPattern: $0), Int16(bitPattern: $1))) }
    }

    /// A function of corresponding signed 32-bit lanes.
    static func signedDoublewords(_ function: @escaping @Sendable (Int32, Int32) -> Int32) -> VectorFunction {
        doublewords { UInt32(bitPattern: function(Int32(bitPattern: $0), Int32(bitPattern: $1))) }
    }

    /// A function of corresponding signed 64-bit lanes.
    static func signedQuadwords(_ function: @escaping @Sendable (Int64, Int64) -> Int64) -> VectorFunction {
        quadwords { UInt64(bitPattern: function(Int64(bitPattern: $0), Int64(bitPattern: $1))) }
    }

    private static func combine<Lane: SIMD>(
        _ lhs: Lane,
        _ rhs: Lane,
        _ function: (Lane.Scalar, Lane.Scalar) -> Lane.Scalar
    ) -> Lane {
        var result = lhs
        for index in result.indices { result[index] = function(lhs[index], rhs[index]) }
        return result
    }
}

extension FixedWidthInteger {
    /// The nearest value that the type has.
    init(saturating value: Int) {
        self = value < Int(Self.min) ? .min : value > Int(Self.max) ? .max : Self(value)
    }
}
