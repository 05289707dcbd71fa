// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

extension GuestMemory {
    /// The RAM of a machine: from 0 up to the device hole, and what is more from 4 GiB on.
    ///
    /// - Parameters:
    ///   - byteCount: The size of the RAM; page aligned.
    ///   - file: What it holds at first, region behind region; `nil` for zeros.
    /// - Throws: What `GuestMemoryRegion` throws.
    package convenience init(byteCount: UInt64, file: MemoryFile? = nil) throws(GuestMemoryError) {
        let low = min(byteCount, X86Layout.deviceHole.rawValue)
        var regions = [try GuestMemoryRegion(start: 0, byteCount: low, file: file)]
        if byteCount > low {
            regions.append(
                try GuestMemoryRegion(
                    start: X86Layout.endOfDeviceHole,
                    byteCount: byteCount - low,
                    file: file,
                    offset: low
                )
            )
        }
        try self.init(regions: regions)
    }
}
