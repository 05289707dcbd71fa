// SPDX-License-Identifier: Apache-2.0

import CContainers

/// SHA-256, by which images name their parts.
package struct SHA256 {
    private var state = ccontainers_sha256()

    package init() {
        unsafe ccontainers_sha256_start(&state)
    }

    package mutating func add(_ bytes: some Collection<UInt8>) {
        let isContiguous: Void? = bytes.withContiguousStorageIfAvailable { buffer in
            if let base = buffer.baseAddress { unsafe ccontainers_sha256_add(&state, base, buffer.count) }
        }
        if isContiguous == nil { add(Array(bytes)) }
    }

    /// The digest of everything that was added, in hexadecimal; the value is consumed.
    package mutating func finish() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe ccontainers_sha256_finish(&state, &digest)
        return digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    package static func hex(of bytes: some Collection<UInt8>) -> String {
        var hash = SHA256()
        hash.add(bytes)
        return hash.finish()
    }
}
