// SPDX-License-Identifier: Apache-2.0

package import MachineModel
import Platform
package import GuestMemory

/// The reason why a kernel image cannot be booted.
package enum KernelProblem: Error, Hashable, CustomStringConvertible {
    /// The file is something else; what, and what to do about it.
    case notAKernel(String)
    /// The file is a kernel for another kind of processor.
    case wrongArchitecture(String)
    /// The file ends before something that its headers announce.
    case truncated(what: String, needed: UInt64, available: UInt64)
    /// A header contradicts itself or the format.
    case malformed(String)
    /// The boot protocol is too old to say where the compressed kernel lies.
    case oldBootProtocol(UInt16)
    /// The compressed kernel's data are broken.
    case damagedPayload(Compression, String)
    /// The compressed kernel unpacks to more than it may.
    case payloadTooLarge(Compression, limit: UInt64)
    /// The payload is in a form that Martlet does not unpack; the image's own code may.
    case unusablePayload(String)
    /// The image has no entry point of the kind that was asked for.
    case entryNotOffered(EntryChoice, String)
    /// A part of the kernel has its place where the guest has no memory.
    case doesNotFit(what: String, start: UInt64, byteCount: UInt64, kernelEnd: UInt64, memory: UInt64)
    /// A part of the kernel has its place where something else lies.
    case collision(what: String, start: UInt64, byteCount: UInt64, with: String, GuestAddress)

    package var description: String {
        switch self {
        case .notAKernel(let what):
            what
        case .wrongArchitecture(let what):
            "it is \(what), but the guest is an x86-64 machine"
        case .truncated(let what, let needed, let available):
            "the file is cut short: \(what) would end at byte \(needed), but there are only \(available) bytes; "
                + "copy or download it again"
        case .malformed(let reason):
            "the image is damaged: \(reason)"
        case .oldBootProtocol(let version):
            "its boot protocol is \(version >> 8).\(zeroPadded(version & 0xff)); 2.08 (Linux 2.6.26) is the oldest that "
                + "says where the compressed kernel lies"
        case .damagedPayload(let compression, let reason):
            "the \(compression.adjective) kernel in it is damaged: \(reason)"
        case .payloadTooLarge(let compression, let limit):
            "the \(compression.adjective) kernel in it unpacks to more than \(mebibytes(limit)), which is more than "
                + "it may need; the image is damaged"
        case .unusablePayload(let reason):
            reason
        case .entryNotOffered(let choice, let reason):
            "the entry \"\(choice)\" was asked for, but \(reason)"
        case .doesNotFit(let what, let start, let byteCount, let kernelEnd, let memory):
            "\(what) has its place at \(GuestAddress(rawValue: start)) and needs \(byteCount) bytes there, which are "
                + "not all memory of a guest of \(mebibytes(memory))" + advice(kernelEnd: kernelEnd)
        case .collision(let what, let start, let byteCount, let other, let address):
            "\(what), \(byteCount) bytes at \(GuestAddress(rawValue: start)), would overwrite \(other) at \(address)"
        }
    }

    /// More memory helps against a place below the device hole only.
    private func advice(kernelEnd: UInt64) -> String {
        guard kernelEnd <= X86Layout.deviceHole.rawValue else { return "; no kernel can be loaded there" }
        return "; the kernel ends at \(mebibytes(kernelEnd)): give the guest more than that with --memory"
    }

    private func zeroPadded(_ number: UInt16) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }
}
