// SPDX-License-Identifier: Apache-2.0

import Host
package import SystemPackage

/// The reason why KVM cannot be used, with the remedy.
package enum KVMError: Error, Hashable, CustomStringConvertible {
    /// `/dev/kvm` could not be opened.
    case unavailable(path: String, Errno)
    /// The kernel speaks another version of the interface.
    case apiVersion(found: Int)
    /// The kernel lacks what Martlet cannot do without.
    case missingCapabilities([Capability])
    /// More vCPUs than this host's KVM takes.
    case tooManyVCPUs(asked: Int, maximum: Int)
    /// A call failed.
    case call(operation: String, Errno)
    /// A saved state is damaged or does not fit this host.
    case state(String)

    package var description: String {
        switch self {
        case .unavailable(let path, .noSuchFileOrDirectory):
            """
            there is no \(path): load the module of this processor (modprobe kvm_intel, or kvm_amd), switch on \
            virtualisation (VT-x, AMD-V) in the firmware set-up, or, inside a virtual machine, nested virtualisation \
            on its host
            """
        case .unavailable(let path, .permissionDenied):
            """
            no permission to open \(path): join the group that owns it (usermod -aG kvm $USER, then log in again), \
            or run as root
            """
        case .unavailable(let path, .noSuchAddressOrDevice), .unavailable(let path, .noSuchDevice):
            "\(path) exists, but no KVM module answers: load kvm_intel or kvm_amd"
        case .unavailable(let path, let errno):
            "cannot open \(path): \(errno.inWords)"
        case .apiVersion(let found):
            """
            this kernel's KVM interface has version \(found), Martlet needs version 12: every kernel since 2.6.22 has \
            it, so \(found < 0 ? "the file opened is not KVM's" : "this kernel is too old or too new")
            """
        case .missingCapabilities(let capabilities):
            """
            this kernel's KVM lacks \(capabilities.map(\.description).joined(separator: ", ")): a newer host kernel \
            (5.10 or later) has all that Martlet needs; `martlet doctor` shows the whole list
            """
        case .tooManyVCPUs(let asked, let maximum):
            "\(asked) vCPUs are more than the \(maximum) that this host's KVM takes"
        case .call(let operation, let errno):
            "\(operation): \(errno.inWords)"
        case .state(let reason):
            reason
        }
    }
}

extension Errno {
    /// `ENODEV`, which swift-system does not name.
    fileprivate static var noSuchDevice: Errno { Errno(rawValue: 19) }
}

/// Turns the result of a `CKVM` function into a value or an error.
///
/// - Parameters:
///   - operation: The kernel's name of the call, for the message.
///   - shim: Returns at least 0, or -errno. It is called again after `EINTR`.
/// - Returns: The result of `shim`, at least 0.
/// - Throws: `call`.
@discardableResult
func kvmCall(_ operation: StaticString, _ shim: () -> CInt) throws(KVMError) -> CInt {
    while true {
        let result = shim()
        if result >= 0 { return result }
        if Errno(rawValue: -result) != .interrupted {
            throw .call(operation: "\(operation)", Errno(rawValue: -result))
        }
    }
}
