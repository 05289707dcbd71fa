// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import KVM

/// The host that a snapshot was saved on, as far as it decides where the snapshot can go on.
package struct HostDescription: Codable, Hashable, Sendable {
    /// The kernel's release, as `uname -r` says it: for information.
    package var kernel: String
    /// The id of the host's boot: the kernel gives each one another.
    package var bootID: String
    /// The processor's vendor, as CPUID leaf 0 says it: `GenuineIntel`.
    package var vendor: String
    /// The processor's name: for information.
    package var processor: String
    /// Indicates whether KVM interprets guest kernel code here, instead of having the processor run it.
    package var isInterpreting: Bool

    enum CodingKeys: String, CodingKey {
        case kernel
        case bootID = "boot_id"
        case vendor, processor
        case isInterpreting = "interprets_guest_code"
    }

    package init(kernel: String, bootID: String, vendor: String, processor: String, isInterpreting: Bool) {
        (self.kernel, self.bootID, self.vendor) = (kernel, bootID, vendor)
        (self.processor, self.isInterpreting) = (processor, isInterpreting)
    }

    /// Describes this host.
    package static func current() -> Self {
        Self(
            kernel: kernelRelease,
            bootID: ProcessFiles.bootID,
            vendor: vendorText,
            processor: processorText,
            isInterpreting: !HostProcessor.hasHardwareVirtualization
        )
    }

    private static var kernelRelease: String {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return "" }
        return unsafe withUnsafeBytes(of: &names.release) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static var vendorText: String {
        let leaf = HostProcessor.cpuid(leaf: 0)
        return text(of: [leaf.ebx, leaf.edx, leaf.ecx])
    }

    private static var processorText: String {
        guard HostProcessor.cpuid(leaf: 0x8000_0000).eax >= 0x8000_0004 else { return vendorText }
        let registers = (0x8000_0002...0x8000_0004 as ClosedRange<UInt32>).flatMap { leaf in
            let values = HostProcessor.cpuid(leaf: leaf)
            return [values.eax, values.ebx, values.ecx, values.edx]
        }
        let name = text(of: registers).split(separator: " ").joined(separator: " ")
        return name.isEmpty ? vendorText : name
    }

    private static func text(of registers: [UInt32]) -> String {
        let bytes = registers.flatMap { register in
            (0..<4).map { UInt8(truncatingIfNeeded: register >> (8 * UInt32($0))) }
        }
        return String(decoding: bytes.prefix { $0 != 0 }.filter { (0x20..<0x7f).contains($0) }, as: UTF8.self)
    }
}
