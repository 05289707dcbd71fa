// SPDX-License-Identifier: Apache-2.0

import Host
import Machine
import MachineModel
import Snapshot
import SystemPackage

/// A container's guest that has booted and whose agent waits: what machines of the same kind restore instead of booting.
///
/// It is a ready snapshot as any other, without the disks: each machine brings its own, of whatever size.
struct ContainerTemplate {
    private let ready: ReadySnapshots
    private let name: String

    /// Finds the place of a machine's template; `nil` where the machine must boot, because it needs a hardware address of its own
    /// beside others on one network.
    ///
    /// - Parameter configuration: The machine; its disks, socket and published ports are its own in any case.
    init?(for configuration: MachineConfiguration) {
        guard configuration.networkInterfaces.allSatisfy({ $0.backend == .user }), let ready = ReadySnapshots(),
            let source = configuration.bootSource
        else { return nil }
        var kind = configuration
        var vsock = configuration.vsock ?? Vsock(path: "")
        vsock.path = ""
        (kind.vsock, kind.logger) = (vsock, nil)
        for index in kind.networkInterfaces.indices {
            kind.networkInterfaces[index].forwards = []
            kind.networkInterfaces[index].hasHostLoopback = false
        }
        let images = [source.kernelPath, source.initrdPath].compactMap(\.self).map { FilePath(hostText: $0) }
        guard let name = ReadySnapshots.name(of: kind, images: images) else { return nil }
        (self.ready, self.name) = (ready, name)
    }

    /// The folder of the template.
    var path: FilePath { ready.folder.appending(name) }

    /// The template, with what is the machine's own.
    ///
    /// - Returns: `nil` where there is no template yet.
    func restoration(of configuration: MachineConfiguration) -> (snapshot: MachineSnapshot, options: RestoreOptions)? {
        ready.snapshot(name).map { ($0, RestoreOptions(hostSidesOf: configuration)) }
    }

    /// Makes room for the template of a machine that is about to boot.
    ///
    /// - Returns: The folder that the machine is to be saved to; `nil` where it cannot be.
    func place(for configuration: MachineConfiguration) -> FilePath? {
        guard let path = ready.place(for: name, of: configuration) else { return nil }
        ready.prune(keeping: ReadySnapshots.limit - 1)
        return path
    }
}

extension RestoreOptions {
    /// Gives a template the disks, networks and socket of a machine.
    init(hostSidesOf configuration: MachineConfiguration) {
        self.init()
        for drive in configuration.drives { drives[drive.id] = FilePath(hostText: drive.path) }
        for interface in configuration.networkInterfaces { networks[interface.id] = interface }
        vsockPath = configuration.vsock?.path.map { FilePath(hostText: $0) }
    }
}
