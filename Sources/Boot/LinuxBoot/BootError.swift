// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import Host
package import SystemPackage

/// The reason why a guest could not be loaded, in words for the person who chose the files.
package enum BootError: Error, Hashable, CustomStringConvertible {
    /// A file cannot be read at all.
    case file(ImageRole, path: String, FileProblem)
    /// The kernel image was read, and cannot be booted.
    case kernel(path: String, KernelProblem)
    /// The initrd is larger than the largest part of RAM that may hold it; `most` is that part in the largest guest.
    case initrdDoesNotFit(path: String, byteCount: UInt64, free: UInt64, most: UInt64, memory: UInt64)
    /// The kernel would cut the command line off.
    case commandLineTooLong(byteCount: Int, limit: Int)
    /// A character that would end or garble the command line, and the byte at which it stands.
    case commandLineCharacter(UInt8, offset: Int)
    /// RAM consists of more pieces than `boot_params` can name.
    case memoryMapTooLong(entryCount: Int, limit: Int)
    /// A boot structure lies outside of guest memory, or the host has no room.
    case memory(GuestMemoryError)

    package var description: String {
        switch self {
        case .file(let role, let path, let problem):
            "\(role) \(path): \(problem)"
        case .kernel(let path, let problem):
            "kernel \(path): \(problem)"
        case .initrdDoesNotFit(let path, let byteCount, _, let most, _) where byteCount > most:
            "initrd \(path): it needs \(mebibytes(byteCount)), but this kernel finds room for no more than "
                + "\(mebibytes(most, isRoundingUp: false)) in a guest of any size; make it smaller, or give the guest a "
                + "disk instead"
        case .initrdDoesNotFit(let path, let byteCount, let free, _, let memory):
            "initrd \(path): it needs \(mebibytes(byteCount)), but only \(mebibytes(free, isRoundingUp: false)) are free "
                + "for it in a guest of \(mebibytes(memory)); give the guest more with --memory"
        case .commandLineTooLong(let byteCount, let limit):
            "the kernel command line has \(byteCount) bytes, but this kernel reads no more than \(limit)"
        case .commandLineCharacter(let byte, let offset):
            "the kernel command line contains the control character 0x\(String(byte, radix: 16)) at byte \(offset); "
                + "it must be one line of text"
        case .memoryMapTooLong(let entryCount, let limit):
            "guest memory has \(entryCount) pieces, but boot_params can describe no more than \(limit)"
        case .memory(let error):
            "\(error)"
        }
    }
}

/// The role of a file for the guest.
package enum ImageRole: String, Hashable, Sendable, CustomStringConvertible {
    case kernel
    case initrd

    package var description: String { rawValue }
}

/// The reason why a file cannot be read.
package enum FileProblem: Hashable, Sendable, CustomStringConvertible {
    case system(operation: String, Errno)
    case notRegular(kind: String)
    case empty
    /// The file became shorter while it was read.
    case shrank(missing: UInt64)

    package var description: String {
        switch self {
        case .system(let operation, let errno): "cannot \(operation) it: \(errno.inWords)"
        case .notRegular(let kind): "it is \(kind); a regular file is needed"
        case .empty: "the file is empty"
        case .shrank(let missing): "the file ended \(missing) bytes early; was it changed while it was read?"
        }
    }
}

/// `byteCount` in MiB, for messages.
func mebibytes(_ byteCount: UInt64, isRoundingUp: Bool = true) -> String {
    let mebibyte: UInt64 = 1 << 20
    return "\(byteCount / mebibyte + (isRoundingUp && byteCount % mebibyte > 0 ? 1 : 0)) MiB"
}
