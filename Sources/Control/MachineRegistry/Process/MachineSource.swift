// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import Machine
package import MachineModel
package import SystemPackage

/// The description of a new machine, with paths that mean the same in the machine's own process.
package struct MachineSource {
    /// The description, which is saved in the machine's folder.
    package private(set) var configuration: MachineConfiguration
    /// Open files that stand for paths of the description which no other process could open.
    package private(set) var files: [(path: String, file: FileDescriptor)] = []

    /// The name of the file that describes the program which the machine is there for; `nil` for none.
    package private(set) var program: String?

    /// The folder of the snapshot that the machine is saved to when its guest has booted; `nil` for none.
    package var template: FilePath?

    /// The snapshot that the machine is restored from; `nil` for one that boots.
    package private(set) var restoration: Restoration?

    /// A snapshot, and the options for restoring it.
    package struct Restoration: Sendable {
        let folder: FilePath
        let options: RestoreOptions
    }

    /// Indicates whether the machine gets a vsock with a socket in its folder, where its description has none.
    package var takesDefaultVsock = true

    /// Makes the paths of a description absolute, and resolves those that name a descriptor.
    package init(_ configuration: MachineConfiguration) {
        self.configuration = configuration
        var files: [(path: String, file: FileDescriptor)] = []
        self.configuration.mapPaths { path in
            guard let descriptor = Self.descriptor(namedBy: path) else {
                return FilePath(hostText: path).absolute.hostText
            }
            if let name = Self.name(of: descriptor) { return name.hostText }
            let label = Self.label(of: Int(descriptor.rawValue))
            if !files.contains(where: { $0.path == label }) { files.append((label, descriptor)) }
            return label
        }
        for number in configuration.networkInterfaces.flatMap(\.descriptors) {
            let label = Self.label(of: number)
            guard !files.contains(where: { $0.path == label }) else { continue }
            files.append((label, FileDescriptor(rawValue: CInt(clamping: number))))
        }
        self.files = files
    }

    /// The name by which a machine's process knows a descriptor of the process that started it.
    private static func label(of number: Int) -> String { "descriptor:\(number)" }

    /// Describes a machine that is restored from a snapshot.
    ///
    /// `folder` is an absolute path; the paths of `options` are relative to this process.
    package init(restoring snapshot: MachineSnapshot, from folder: FilePath, _ options: RestoreOptions) {
        // Only the caller's networks and socket are given: those of the snapshot are shown and not opened.
        var given = MachineConfiguration()
        given.networkInterfaces = Array(options.networks.values)
        given.vsock = options.vsockPath.map { Vsock(path: $0.hostText) }
        given.drives = options.drives.sorted { $0.key < $1.key }.map { Drive($0.key, path: $0.value.hostText) }
        self.init(given)
        var options = options
        for drive in configuration.drives { options.drives[drive.id] = FilePath(hostText: drive.path) }
        for interface in configuration.networkInterfaces { options.networks[interface.id] = interface }
        options.vsockPath = configuration.vsock?.path.map { FilePath(hostText: $0) }
        configuration = snapshot.description(options)
        restoration = Restoration(folder: folder, options: options)
    }

    /// Gives the machine a vsock where it is to have one and has room for it.
    mutating func addDefaultVsock(at path: FilePath) {
        if restoration != nil {
            configuration.vsock?.path = restoration?.options.vsockPath?.hostText ?? path.hostText
            return
        }
        guard takesDefaultVsock, configuration.vsock == nil, configuration.hasRoomForDevice else { return }
        configuration.vsock = Vsock(path: path.hostText)
    }

    /// Has an open file stand for a path, for a file that has no name.
    ///
    /// `file` stays the caller's; in the description, `label` takes the place of `path`.
    package mutating func pass(_ file: FileDescriptor, at path: FilePath, as label: String) {
        files.removeAll { $0.file.rawValue == file.rawValue }
        files.append((label, file))
        let old = ["descriptor:\(file.rawValue)", path.hostText]
        configuration.mapPaths { old.contains($0) ? label : $0 }
    }

    /// Has the machine run a program, and end with it.
    ///
    /// - Parameter file: Describes the program; stays the caller's.
    package mutating func run(programIn file: FileDescriptor) {
        program = Self.label(of: Int(file.rawValue))
        files.append((Self.label(of: Int(file.rawValue)), file))
    }

    /// The descriptor of this process that a path names, if any.
    private static func descriptor(namedBy path: String) -> FileDescriptor? {
        switch path {
        case "/dev/stdin": return .standardInput
        case "/dev/stdout": return .standardOutput
        case "/dev/stderr": return .standardError
        default: break
        }
        for folder in ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/", "/proc/\(getpid())/fd/"]
        where path.hasPrefix(folder) {
            return CInt(path.dropFirst(folder.count)).map { FileDescriptor(rawValue: $0) }
        }
        return nil
    }

    /// The name of an open file, where opening that name gives the same file again.
    private static func name(of file: FileDescriptor) -> FilePath? {
        guard let target = try? FilePath("/proc/self/fd/\(file.rawValue)").linkTarget(), target.hasPrefix("/"),
            let opened = try? file.stat()
        else { return nil }
        let path = FilePath(hostText: target)
        return (try? path.stat())?.isSameFile(as: opened) == true ? path : nil
    }
}
