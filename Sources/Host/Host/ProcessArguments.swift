// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The command line of this process.
package enum ProcessArguments {
    /// The arguments behind the name of the program, each as text that may stand for bytes which are no UTF-8.
    package static var all: [String] {
        (1..<max(1, Int(CommandLine.argc))).compactMap { index in
            unsafe CommandLine.unsafeArgv[index].map { unsafe String(hostString: $0) }
        }
    }

    /// The value of an environment variable that is set and not empty.
    ///
    /// - Parameter name: The variable.
    /// - Returns: Its value, as text that may stand for bytes which are no UTF-8.
    package static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(hostString: value)
    }
}
