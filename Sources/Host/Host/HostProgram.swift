// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// Programs of the host that do a part of the work.
package enum HostProgram {
    /// The folders that are searched where `PATH` does not name them: administrators' programs are there too.
    private static let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"]

    /// Looks a program up in PATH, and where administrators' programs are.
    package static func find(_ name: String) -> FilePath? {
        let path = ProcessArguments.environment("PATH") ?? ""
        for folder in path.split(separator: ":").map(String.init) + folders {
            let candidate = FilePath(hostText: "\(folder)/\(name)")
            if candidate.allows(X_OK) { return candidate }
        }
        return nil
    }

    /// The end of a program, and its output.
    package struct Ending: Sendable {
        package let status: CInt
        package let text: String
    }

    /// The reason why a program cannot be run, in words.
    package struct Failure: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    /// Runs a program to its end, with no input.
    ///
    /// - Returns: Its status, 128 + the signal where one ended it, and the first 64 KiB of its output.
    /// - Throws: `Failure` where it cannot be started.
    package static func run(_ program: FilePath, _ arguments: [String]) throws(Failure) -> Ending {
        let ends: (reading: CInt, writing: CInt)
        do throws(Errno) { ends = try OwnedDescriptor.makePipe() } catch {
            throw Failure(description: "no pipe: \(error)")
        }
        let reader = OwnedDescriptor(adopting: ends.reading)
        let child = try start(program, arguments, output: OwnedDescriptor(adopting: ends.writing))
        var said: [UInt8] = []
        while let bytes = try? reader.borrowed.readSome(limit: 4096), !bytes.isEmpty {
            if said.count < 64 << 10 { said += bytes }
        }
        return Ending(status: child.takeStatus(), text: String(decoding: said, as: UTF8.self))
    }

    /// Starts a program, and closes this process's copy of its output.
    private static func start(
        _ program: FilePath,
        _ arguments: [String],
        output: consuming OwnedDescriptor
    ) throws(Failure) -> RunningProcess {
        var launch = ProcessLaunch(program, arguments: arguments)
        launch.descriptors = [nil, output.borrowed, output.borrowed]
        do throws(Errno) { return try launch.start() } catch {
            throw Failure(description: "cannot run \(program): \(error)")
        }
    }

    /// Becomes a program, with the state that this process had at its own start.
    ///
    /// - Returns: The reason why that is not possible; it does not return else.
    package static func replaceThisProcess(by program: FilePath, _ arguments: [String]) -> Errno {
        unsafe withHostCStrings([program.hostText] + arguments) { arguments in
            ProcessStart.undo()
            _ = unsafe program.withPlatformString { unsafe execv($0, arguments) }
            return Errno(rawValue: errno)
        }
    }
}
