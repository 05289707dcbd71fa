// SPDX-License-Identifier: Apache-2.0

import CKVM
import Host

extension Base64 {
    /// The bytes of a structure of the kernel's.
    init<T>(of value: T) {
        self.init(unsafe withUnsafeBytes(of: value) { unsafe Array($0) })
    }

    /// The bytes of an array of the kernel's structures.
    init<T: BitwiseCopyable>(ofElements values: [T]) {
        self.init(unsafe values.withUnsafeBytes { unsafe Array($0) })
    }

    /// The structure that these are the bytes of.
    ///
    /// - Throws: `state` for another number of bytes.
    func load<T>(into empty: T, _ name: String) throws(KVMError) -> T {
        let expected = MemoryLayout<T>.size
        guard bytes.count == expected else {
            throw .state("the saved state of the \(name) has \(bytes.count) bytes instead of \(expected)")
        }
        var value = empty
        unsafe withUnsafeMutableBytes(of: &value) { unsafe $0.copyBytes(from: bytes) }
        return value
    }

    /// The structures in these bytes, one after the other.
    ///
    /// - Parameters:
    ///   - type: The structure.
    ///   - name: The name for messages.
    ///   - maximum: The largest number of them.
    /// - Returns: The structures, in their order.
    /// - Throws: `state` for a number of bytes that is not a multiple, or too large.
    func loadElements<T: BitwiseCopyable>(_ type: T.Type, _ name: String, maximum: Int) throws(KVMError) -> [T] {
        let stride = MemoryLayout<T>.stride
        guard bytes.count.isMultiple(of: stride), bytes.count / stride <= maximum else {
            throw .state(
                "the saved state of the \(name) has \(bytes.count) bytes: not at most \(maximum) entries of \(stride)"
            )
        }
        return unsafe bytes.withUnsafeBytes { buffer in
            Swift.stride(from: 0, to: bytes.count, by: stride).map {
                unsafe buffer.loadUnaligned(fromByteOffset: $0, as: type)
            }
        }
    }
}
