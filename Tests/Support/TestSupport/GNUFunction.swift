// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Finds a function that glibc declares with _GNU_SOURCE only, so that Swift does not see it.
///
/// - Parameters:
///   - name: The function's name.
///   - type: Its type, as the manual page has it; nothing checks that.
/// - Returns: The function.
/// - Throws: `SystemCallFailure` if there is none.
package func gnuFunction<F>(_ name: String, as type: F.Type) throws -> F {
    guard let address = unsafe dlsym(nil, name) else { throw SystemCallFailure("dlsym \(name)", errno: ENOSYS) }
    return unsafe unsafeBitCast(address, to: type)
}
