// SPDX-License-Identifier: Apache-2.0

/// A segment register, numbered as instructions encode it.
package enum SegmentRegister: UInt8, Sendable {
    case es, cs, ss, ds, fs, gs
}
