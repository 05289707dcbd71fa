// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import SystemPackage

/// The initial RAM disk: a file of any content, since the kernel knows best what it takes.
final class InitrdFile {
    private let file: ImageFile

    init(_ path: FilePath) throws(BootError) {
        file = try ImageFile(path, role: .initrd)
    }

    /// Reads the first bytes, which tell its format.
    func start() throws(BootError) -> ByteReader {
        ByteReader(try file.read(upTo: Compression.magicByteCount, at: 0))
    }

    /// Reads the file to the highest place that is free.
    ///
    /// An empty file counts as no initrd, as in Linux, where `ramdisk_size` 0 means "none"; a note says so.
    ///
    /// `last` is the highest address that the kernel allows. The answer for an empty file is `nil`.
    func load(
        into plan: MemoryPlan,
        last: UInt64,
        _ notes: inout [String]
    ) throws(BootError) -> Range<GuestAddress>? {
        guard file.byteCount > 0 else {
            notes.append("initrd \(file.path) is empty: the guest starts without one")
            return nil
        }
        guard let start = plan.placeForInitrd(byteCount: file.byteCount, last: last) else {
            throw .initrdDoesNotFit(
                path: file.path,
                byteCount: file.byteCount,
                free: plan.largestInitrd(last: last),
                most: plan.largestInitrdInAnyGuest(last: last),
                memory: plan.memory.byteCount
            )
        }
        try file.load(offset: 0, byteCount: file.byteCount, into: plan.memory, at: start)
        return start..<GuestAddress(rawValue: start.rawValue + file.byteCount)
    }
}
