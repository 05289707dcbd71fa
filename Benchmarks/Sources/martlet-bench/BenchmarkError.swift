// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why something could not be measured, in words.
struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    init(errno: CInt, of operation: String) {
        self.init("\(operation): \(unsafe String(cString: strerror(errno)))")
    }
}
