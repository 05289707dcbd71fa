// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Interpreter

/// Translates linear addresses by the guest's own page tables, as the processor does in long mode.
///
/// `KVM_TRANSLATE` does not serve: it checks no rights, and an emulated store must fault where a real one would. Intel SDM
/// volume 3A, 4.5 (translation) and 4.6 (rights).
package struct PageWalk: Sendable {
    /// The state of the processor that decides how an address is translated.
    package struct Context: Sendable {
        package var cr0: UInt64
        package var cr3: UInt64
        package var cr4: UInt64
        package var efer: UInt64
        /// Indicates whether the access is made at CPL 3.
        package var isUser: Bool
        /// RFLAGS.AC, which lets the kernel reach user pages in spite of SMAP.
        package var hasAlignmentCheckFlag: Bool

        package init(cr0: UInt64, cr3: UInt64, cr4: UInt64, efer: UInt64, isUser: Bool, hasAlignmentCheckFlag: Bool) {
            self.cr0 = cr0
            self.cr3 = cr3
            self.cr4 = cr4
            self.efer = efer
            self.isUser = isUser
            self.hasAlignmentCheckFlag = hasAlignmentCheckFlag
        }

        var isPaging: Bool { cr0 & 1 << 31 != 0 }
        var isLongMode: Bool { efer & 1 << 10 != 0 }
        var hasWriteProtect: Bool { cr0 & 1 << 16 != 0 }
        var levelCount: Int { cr4 & 1 << 12 != 0 ? 5 : 4 }
        var hasSMAP: Bool { cr4 & 1 << 21 != 0 }
    }

    /// One bit of a paging entry.
    private struct Entry {
        var rawValue: UInt64

        var isPresent: Bool { rawValue & 1 << 0 != 0 }
        var isWritable: Bool { rawValue & 1 << 1 != 0 }
        var isUser: Bool { rawValue & 1 << 2 != 0 }
        var isLargePage: Bool { rawValue & 1 << 7 != 0 }
        var address: UInt64 { rawValue & 0x000f_ffff_ffff_f000 }
        static let accessed: UInt64 = 1 << 5
        static let dirty: UInt64 = 1 << 6
    }

    private let memory: GuestMemory
    private let context: Context

    package init(memory: GuestMemory, context: Context) {
        self.memory = memory
        self.context = context
    }

    /// The guest physical address of `linear`, after the rights of the access were checked and the accessed and
    /// dirty bits set.
    ///
    /// `linear` is canonical. Returns the address, and the number of bytes from there to the end of the page.
    package func translate(
        _ linear: UInt64,
        isWrite: Bool
    ) throws(MemoryFault) -> (address: GuestAddress, byteCount: UInt64) {
        guard context.isPaging else {
            return (GuestAddress(rawValue: linear & 0xffff_ffff), 4096 - linear % 4096)
        }
        guard context.isLongMode else {
            // 32-bit paging: no kernel that needs help here uses it.
            throw MemoryFault(address: linear, isWrite: isWrite, cause: .notMemory)
        }
        var table = Entry(rawValue: context.cr3).address
        var (isWritable, isUser) = (true, true)
        var level = context.levelCount
        while true {
            level -= 1
            let shift = UInt64(12 + 9 * level)
            let position = GuestAddress(rawValue: table + (linear >> shift & 0x1ff) * 8)
            let entry = try load(at: position, linear, isWrite)
            guard entry.isPresent else { throw MemoryFault(address: linear, isWrite: isWrite, cause: .notPresent) }
            isWritable = isWritable && entry.isWritable
            isUser = isUser && entry.isUser
            let isLeaf = level == 0 || level <= 2 && entry.isLargePage
            if isLeaf { try check(linear, isWrite: isWrite, isWritable: isWritable, isUser: isUser) }
            let marks = Entry.accessed | (isLeaf && isWrite ? Entry.dirty : 0)
            try mark(entry, at: position, with: marks, linear, isWrite)
            if isLeaf {
                let pageByteCount: UInt64 = 1 << shift
                let offset = linear & (pageByteCount - 1)
                let frame = entry.address & ~(pageByteCount - 1)
                return (GuestAddress(rawValue: frame + offset), pageByteCount - offset)
            }
            table = entry.address
        }
    }

    private func check(_ linear: UInt64, isWrite: Bool, isWritable: Bool, isUser: Bool) throws(MemoryFault) {
        let isAllowed =
            if context.isUser {
                isUser && (isWritable || !isWrite)
            } else {
                (isWritable || !isWrite || !context.hasWriteProtect)
                    && (!isUser || !context.hasSMAP || context.hasAlignmentCheckFlag)
            }
        guard isAllowed else { throw MemoryFault(address: linear, isWrite: isWrite, cause: .protection) }
    }

    private func load(at position: GuestAddress, _ linear: UInt64, _ isWrite: Bool) throws(MemoryFault) -> Entry {
        do {
            return Entry(rawValue: try memory.load(UInt64.self, at: position))
        } catch {
            throw MemoryFault(address: linear, isWrite: isWrite, cause: .notMemory)
        }
    }

    /// Sets the accessed and dirty bits, unless another processor changed the entry meanwhile: then they are its affair.
    private func mark(
        _ entry: Entry,
        at position: GuestAddress,
        with marks: UInt64,
        _ linear: UInt64,
        _ isWrite: Bool
    ) throws(MemoryFault) {
        guard entry.rawValue & marks != marks else { return }
        do {
            try memory.compareExchange(at: position, expected: entry.rawValue, desired: entry.rawValue | marks)
        } catch {
            throw MemoryFault(address: linear, isWrite: isWrite, cause: .notMemory)
        }
    }
}
