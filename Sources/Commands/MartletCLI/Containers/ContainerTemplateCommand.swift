// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ContainerMachine
import Glibc
import Host
import Machine
import MachineModel
import MachineSession
import SystemPackage

/// `martlet container-template`: the process that makes what machines of martlet-runtime go on from.
///
/// It never has anything of a container. Only one of them boots a guest at a time; those that waited for it find theirs made.
struct ContainerTemplateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "container-template",
        abstract: "For martlet-runtime.",
        shouldDisplay: false
    )

    /// The time for all of it, in seconds: containers wait.
    private static let patience: CUnsignedInt = 180
    /// The descriptor of a lock that a container waits for.
    private static let containersLock: CInt = 3
    /// The time after which a template that could not be made is tried again, in seconds.
    private static let failureAge = 600

    @Argument var name: String
    @Option var folder: String
    @Option var memory: Int
    @Option var cpus: Int
    @Option var interfaces: Int
    @Flag var pod = false

    func run() throws {
        // Its effect is the usual one: this process ends.
        alarm(Self.patience)
        let ready = ReadySnapshots(folder: FilePath(hostText: folder))
        let lock = try OwnedDescriptor(opening: ready.folder.appending("lock"), O_RDWR | O_CREAT)
        lock.borrowed.waitForLock()
        let failure = ready.folder.appending("failed")
        guard ready.snapshot(name) == nil, !hasFailed(failure) else { return }
        // Until it is made: this process may be ended on the way.
        try FileContents.write(Array(name.utf8), to: failure)
        try make(ready, keeping: [lock.rawValue, Self.containersLock])
        extendLifetime(lock)
        // Compared with its checksums here, so that no container has to.
        if ready.snapshot(name) != nil { failure.removeFile() }
    }

    /// Indicates whether somebody has tried the same a short time ago.
    private func hasFailed(_ failure: FilePath) -> Bool {
        guard let status = try? failure.stat(), abs(time(nil) - status.st_mtim.tv_sec) < Self.failureAge else {
            return false
        }
        return (try? FileContents.text(of: failure, limit: 64)) == name
    }

    private func make(_ ready: ReadySnapshots, keeping locks: [CInt]) throws {
        var configuration = try ContainerGuest.configuration(vcpuCount: cpus)
        configuration.size.memoryMiB = memory
        configuration.vsock = Vsock(path: nil)
        guard let path = ready.place(for: name, of: configuration) else { return }
        ready.prune(keeping: ReadySnapshots.limit - 1)
        let base = try Self.disk(in: ready.folder)
        let scratch = try Self.disk(in: ready.folder)
        configuration.drives =
            pod
            ? try PodDisks(interfaceCount: interfaces).drives
            : [
                Drive("base", path: "/proc/self/fd/\(base.rawValue)", isReadOnly: true),
                Drive("scratch", path: "/proc/self/fd/\(scratch.rawValue)"),
            ]
        configuration.networkInterfaces = try ContainerNetwork.nowhere(interfaceCount: interfaces)
        var settings = SessionSettings()
        settings.console = .none
        settings.sandbox.keptDescriptors = locks
        settings.saveTemplate(at: path, thenStops: true)
        _ = try MachineSession(settings).run(.boot(configuration))
        // Until here the machine has them by their numbers.
        extendLifetime(base)
        extendLifetime(scratch)
    }

    /// A disk that no container uses, without a name: containers bring their own.
    private static func disk(in folder: FilePath) throws -> OwnedDescriptor {
        let path = folder.appending("disk")
        let file = try OwnedDescriptor(opening: path, O_RDWR | O_CREAT | O_TRUNC)
        path.removeFile()
        guard ftruncate(file.rawValue, 1 << 20) == 0 else { throw Errno(rawValue: errno) }
        return file
    }
}
