// SPDX-License-Identifier: Apache-2.0

package import CKVM
import Host
import SystemPackage

/// The host's KVM: an open `/dev/kvm` (api.rst, "System ioctls").
package final class KVMSystem: Sendable {
    /// The path of the device on every distribution.
    package static let defaultPath = "/dev/kvm"

    private let descriptor: OwnedDescriptor

    /// Opens KVM and checks that it speaks the one stable version of its interface.
    ///
    /// - Throws: `unavailable` or `apiVersion`.
    package init(path: String = KVMSystem.defaultPath) throws(KVMError) {
        let opened: FileDescriptor
        do {
            opened = try FileDescriptor.open(FilePath(path), .readWrite, options: [.closeOnExec])
        } catch let errno as Errno {
            throw .unavailable(path: path, errno)
        } catch {
            throw .unavailable(path: path, .ioError)
        }
        let descriptor = OwnedDescriptor(adopting: opened.rawValue)
        let version = Int(ckvm_get_api_version(descriptor.rawValue))
        guard version == KVM_API_VERSION else { throw .apiVersion(found: version) }
        self.descriptor = descriptor
    }

    /// The kernel's answer for a capability: 0 for "absent", else 1 or a number with a meaning of its own.
    package func value(of capability: Capability) -> Int {
        value(ofCapability: capability.number)
    }

    /// The capabilities of `wanted` that this kernel lacks.
    package func missing(from wanted: [Capability]) -> [Capability] {
        wanted.filter { value(of: $0) == 0 }
    }

    /// The recommended greatest number of a machine's vCPUs (the host's processors, as a rule).
    package var recommendedVCPUCount: Int {
        max(1, value(ofCapability: KVM_CAP_NR_VCPUS))
    }

    /// The greatest number of a machine's vCPUs.
    package var maximumVCPUCount: Int {
        let maximum = value(ofCapability: KVM_CAP_MAX_VCPUS)
        return maximum > 0 ? maximum : recommendedVCPUCount
    }

    /// The CPUID leaves that KVM can give to a guest on this host (`KVM_GET_SUPPORTED_CPUID`).
    package func supportedCPUID() throws(KVMError) -> [kvm_cpuid_entry2] {
        let capacity = Int(CKVM_CPUID_CAPACITY)
        var entries = [kvm_cpuid_entry2](repeating: kvm_cpuid_entry2(), count: capacity)
        let count = try unsafe entries.withUnsafeMutableBufferPointer { buffer throws(KVMError) -> CInt in
            guard let base = buffer.baseAddress else { return 0 }
            return try kvmCall("KVM_GET_SUPPORTED_CPUID") {
                unsafe ckvm_get_supported_cpuid(descriptor.rawValue, base)
            }
        }
        return Array(entries.prefix(Int(count)))
    }

    /// The MSRs that are a vCPU's state: those that KVM lists, and those that it only takes when asked.
    ///
    /// The second kind are the MTRRs, which KVM keeps for the guest (SDM volume 3A, 12.11), TSC_AUX, and the two of XFD.
    package func stateMSRs() throws(KVMError) -> [UInt32] {
        var listed = [UInt32](repeating: 0, count: Int(CKVM_MSR_CAPACITY))
        let count = try kvmCall("KVM_GET_MSR_INDEX_LIST") {
            unsafe ckvm_get_msr_index_list(descriptor.rawValue, &listed)
        }
        listed = Array(listed.prefix(Int(count)))
        let unlisted: [UInt32] =
            Array(0x200...0x20f) + [0x250, 0x258, 0x259] + Array(0x268...0x26f) + [0x2ff, 0xc000_0103, 0x1c4, 0x1c5]
        return Array((listed + unlisted.filter { !listed.contains($0) }).prefix(Int(CKVM_MSR_CAPACITY)))
    }

    /// Makes an empty virtual machine: no memory, no vCPU, no interrupt controller.
    package func makeVirtualMachine() throws(KVMError) -> KVMVirtualMachine {
        let mapping = try kvmCall("KVM_GET_VCPU_MMAP_SIZE") { ckvm_get_vcpu_mmap_size(descriptor.rawValue) }
        let vm = try kvmCall("KVM_CREATE_VM") { ckvm_create_vm(descriptor.rawValue) }
        return KVMVirtualMachine(adopting: OwnedDescriptor(adopting: vm), runMappingByteCount: Int(mapping))
    }

    private func value(ofCapability number: CInt) -> Int {
        max(0, Int(ckvm_check_extension(descriptor.rawValue, number)))
    }
}
