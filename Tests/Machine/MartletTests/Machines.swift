// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport

/// Machines whose kernel is a few bytes of guest code.
enum Machines {
    /// Describes the least machine that there can be.
    ///
    /// - Parameters:
    ///   - code: What it runs.
    ///   - folder: Where its kernel is put.
    /// - Returns: Its configuration.
    /// - Throws: That the kernel cannot be written.
    static func configuration(_ code: [GuestCode], in folder: TemporaryFolder) throws -> MachineConfiguration {
        let kernel = try folder.write(TinyELF(code).bytes, to: "kernel")
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: kernel))
        configuration.size.memoryMiB = 16
        configuration.size.hasExitStatusPort = true
        return configuration
    }

    /// Makes such a machine.
    static func machine(_ code: [GuestCode], in folder: TemporaryFolder) throws -> VirtualMachine {
        try VirtualMachine(configuration: configuration(code, in: folder))
    }
}

extension SerialConsole {
    /// The first `count` bytes, or fewer where the machine ends before.
    func first(_ count: Int) async -> [UInt8] {
        var bytes: [UInt8] = []
        for await byte in self {
            bytes.append(byte)
            if bytes.count == count { break }
        }
        return bytes
    }

    /// Reads up to the end of `text`, or of the machine.
    func text(upTo text: String) async -> String {
        var bytes: [UInt8] = []
        let wanted = Array(text.utf8)
        for await byte in self {
            bytes.append(byte)
            if byte == wanted.last, bytes.suffix(wanted.count) == wanted[...] { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
