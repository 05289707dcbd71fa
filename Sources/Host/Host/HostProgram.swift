// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// Programs of the host that do a part of the work.
package enum HostProgram {
    /// Looks a program up in PATH, and where administrators' programs are.
    package static func find(_ name: String) -> FilePath? {
        let path = (ProcessArguments.environment("PATH") ?? "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
        for folder in path.split(separator: ":") {
            let candidate = FilePath(hostText: "\(folder)/\(name)")
            if unsafe candidate.withPlatformString({ unsafe access($0, X_OK) }) == 0 { return candidate }
        }
        return nil
    }

    /// The end of a program, and its output.
    package struct Ending: Sendable {
        package let status: CInt
        package let text: String
    }

    /// Runs a program to its end, with no input.
    ///
    /// - Parameters:
    ///   - program: Its path.
    ///   - arguments: What follows its name.
    /// - Returns: Its status, 128 + the signal where one ended it, and the first 64 KiB of what it wrote.
    /// - Throws: `RootImageError` where it cannot be started.
    package static func run(_ program: FilePath, _ arguments: [String]) throws(RootImageError) -> Ending {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw RootImageError("no pipe: \(Errno(rawValue: errno))") }
        let reader = OwnedDescriptor(adopting: ends[0])
        _ = (fcntl(ends[0], F_SETFD, FD_CLOEXEC), fcntl(ends[1], F_SETFD, FD_CLOEXEC))
        let child = try start(program, arguments, output: OwnedDescriptor(adopting: ends[1]))
        var said: [UInt8] = []
        while let bytes = try? reader.borrowed.readSome(limit: 4096), !bytes.isEmpty {
            if said.count < 64 << 10 { said += bytes }
        }
        var status: CInt = 0
        while unsafe waitpid(child.id, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        return Ending(
            status: signal == 0 ? status >> 8 & 0xff : 128 | signal,
            text: String(decoding: said, as: UTF8.self)
        )
    }

    /// Starts a program, and closes this process's copy of its output.
    private static func start(
        _ program: FilePath,
        _ arguments: [String],
        output: consuming OwnedDescriptor
    ) throws(RootImageError) -> RunningProcess {
        var launch = ProcessLaunch(program, arguments: arguments)
        launch.descriptors = [nil, output.borrowed, output.borrowed]
        do throws(Errno) { return try launch.start() } catch { throw RootImageError("cannot run \(program): \(error)") }
    }
}
