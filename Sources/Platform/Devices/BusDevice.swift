// SPDX-License-Identifier: Apache-2.0

/// A device behind one window of a bus: it sees offsets, never addresses.
///
/// Every vCPU may call at any time and from any thread; a device locks inside.
package protocol BusDevice: AnyObject, Sendable {
    /// Answers a guest read of `data.byteCount` bytes (1, 2, 4 or 8) at `offset` by filling all of `data`.
    func read(at offset: UInt64, into data: inout MutableRawSpan)
    /// Takes a guest write of `data.byteCount` bytes (1, 2, 4 or 8) at `offset`.
    func write(at offset: UInt64, from data: RawSpan)
}
