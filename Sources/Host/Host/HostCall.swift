// SPDX-License-Identifier: Apache-2.0

import SystemPackage

/// Turns the result of a C function, at least 0 or -errno, into a value or an error; calls it again after `EINTR`.
@discardableResult
func hostCall(_ call: () -> CInt) throws(Errno) -> CInt {
    while true {
        let result = call()
        if result >= 0 { return result }
        if Errno(rawValue: -result) != .interrupted { throw Errno(rawValue: -result) }
    }
}
