// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// The image that a loader put into guest memory, and the way to start it.
package struct LoadedKernel: Hashable, Sendable {
    /// The state in which the first vCPU starts.
    package let state: BootState
    package let entryProtocol: EntryProtocol
    /// The physical addresses from the kernel's first to its last byte, bss included.
    package let kernelRange: Range<GuestAddress>
    package let initrdRange: Range<GuestAddress>?
    package let memoryMap: MemoryMap
    /// Indicates whether the kernel has ACPI and uses it; also where nobody can tell.
    package let usesACPI: Bool
    /// Notes for the user, such as the reason for using the image's own entry; one line each.
    package let notes: [String]
}
