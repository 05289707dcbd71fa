// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import Platform

/// The number by which a guest sees that its machine was restored from a snapshot (Microsoft, "Virtual Machine Generation ID").
///
/// 16 random bytes in reserved memory, which the DSDT's `VGEN` names. Linux 5.18 and later reseed their random numbers when
/// they learn of another one.
package enum GenerationID {
    package static let byteCount = 16

    /// Gives the machine another number.
    ///
    /// - Throws: `memory` where the place is not guest memory.
    package static func renew(in memory: GuestMemory) throws(FirmwareError) {
        do throws(GuestMemoryError) {
            try memory.write((0..<byteCount).map { _ in .random(in: .min ... .max) }, at: X86Layout.generationID)
        } catch {
            throw .memory(error)
        }
    }
}
