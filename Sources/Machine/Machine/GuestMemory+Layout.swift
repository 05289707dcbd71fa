// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

extension GuestMemory {
    /// The RAM of a machine: from 0 up to the device hole, and the rest from 4 GiB on.
    ///
    /// - Parameter byteCount: The size of the RAM; page aligned.
    /// - Throws: The errors of `GuestMemoryRegion`.
    package convenience init(byteCount: UInt64) throws(GuestMemoryError) {
        let low = min(byteCount, X86Layout.deviceHole.rawValue)
        var regions = [try GuestMemoryRegion(start: 0, byteCount: low)]
        if byteCount > low {
            regions.append(try GuestMemoryRegion(start: X86Layout.endOfDeviceHole, byteCount: byteCount - low))
        }
        try self.init(regions: regions)
    }
}
