// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
import KVM
import Machine
import MachineModel
import MachineSession
import RootImage
import Snapshot
import SystemPackage

/// The snapshots of the default guest, and of containers' guests, that `martlet run` restores instead of booting: in
/// `~/.cache/martlet/ready`.
///
/// Each has a name that follows from all that decides whether a machine would be the same. So one that does not fit is not
/// found, and the guest boots.
struct ReadySnapshots {
    /// The number of snapshots that are kept: the oldest goes first.
    static let limit = 4
    /// The free space that a save leaves.
    private static let reserve: UInt64 = 512 << 20

    let folder: FilePath

    init(folder: FilePath) { self.folder = folder }

    /// Names the folder of this user; `nil` without a home.
    init?() {
        guard let cache = ProcessArguments.cacheFolder else { return nil }
        folder = cache.appending("ready")
    }

    /// The snapshots of `martlet run`, and those of martlet-runtime's containers.
    static var all: [ReadySnapshots] {
        [ReadySnapshots(), ReadySnapshots(folder: ImageCache.base.appending("templates"))].compactMap(\.self)
    }

    /// A snapshot of the folder.
    struct Entry {
        let name: String
        let path: FilePath
        /// The seconds since 1970 at which it was saved.
        let time: Int64
        /// The space that its files take, in bytes.
        let byteCount: UInt64
    }

    /// Lists the snapshots, the newest first.
    var entries: [Entry] {
        ((try? FolderListing.names(in: folder.string)) ?? []).compactMap { name in
            let path = folder.appending(name)
            let place = SnapshotPlace(folder: path)
            guard Self.isName(name), let state = try? place.state.stat() else { return nil }
            let disks = (try? FolderListing.names(in: place.disks.string)) ?? []
            let files = [place.state, place.memory] + disks.map(place.disk)
            return Entry(
                name: name,
                path: path,
                time: Int64(state.st_mtim.tv_sec),
                byteCount: files.reduce(0) { $0 + UInt64(clamping: (try? $1.stat())?.sizeAllocated ?? 0) }
            )
        }
        .sorted { $0.time > $1.time }
    }

    /// Opens the snapshot of a machine, where there is one that is whole.
    ///
    /// Its memory is compared with the checksums once; from then on a file that has changed makes all of it damaged.
    ///
    /// - Returns: The snapshot; `nil` for a boot.
    func snapshot(_ name: String) -> MachineSnapshot? {
        guard let snapshot = try? MachineSnapshot(folder.appending(name)), let memory = try? snapshot.memory() else {
            return nil
        }
        let copies = snapshot.machine.disks.filter(\.isCopied)
        let disks = copies.allSatisfy { disk in
            guard let file = try? snapshot.folder.disk(disk.id) else { return false }
            return file.byteCount == disk.byteCount
        }
        guard disks else { return nil }
        let path = folder.appending(name)
        let seal = SnapshotSeal(of: path, disks: copies.map { SnapshotPlace(folder: path).disk($0.id) })
        if seal.holds { return snapshot }
        guard !seal.isThere, let damage = try? snapshot.machine.memory.damage(in: memory), damage.isEmpty else {
            return nil
        }
        seal.write()
        return snapshot
    }

    /// Makes a place for a missing snapshot, where there is room for it.
    ///
    /// - Returns: The folder that it is to be saved to; `nil` where it cannot be.
    func place(for name: String, of configuration: MachineConfiguration) -> FilePath? {
        guard (try? FolderTree.make(folder, mode: 0o700)) != nil else { return nil }
        var space = statvfs()
        guard unsafe statvfs(folder.string, &space) == 0 else { return nil }
        let free = UInt64(space.f_bavail) * UInt64(space.f_frsize)
        guard free > configuration.size.memoryByteCount + Self.reserve else { return nil }
        let path = folder.appending(name)
        // An existing one is damaged, perhaps so much that a save would not recognise and replace it.
        SnapshotRemoval.remove(path)
        SnapshotSeal(of: path).remove()
        return path
    }

    /// Removes the oldest snapshots.
    @discardableResult
    func prune(keeping count: Int) -> [Entry] {
        entries.dropFirst(count).filter { entry in
            // A damaged one may not be recognised as a snapshot.
            if (try? SnapshotRemoval.removeWhole(entry.path)) == nil { SnapshotRemoval.remove(entry.path) }
            SnapshotSeal(of: entry.path).remove()
            return !entry.path.exists
        }
    }

    // MARK: - Names

    /// The name of a machine's snapshot: the same for machines that would be the same after their boot.
    ///
    /// - Returns: 32 hexadecimal digits; `nil` where an image cannot be looked at.
    static func name(of configuration: MachineConfiguration, images: [FilePath]) -> String? {
        var facts = ["\(SnapshotVersion.current)"]
        for path in [ProcessArguments.executable] + images {
            guard let path, let identity = FileContents.identity(of: path) else { return nil }
            facts.append("\(path) \(identity)")
        }
        // The disk is another copy each time.
        var described = configuration
        for index in described.drives.indices { described.drives[index].path = "" }
        facts.append("\(described)")
        var host = HostDescription.current()
        // The time-stamp counter of an interpreting host cannot be set: its snapshots end with the boot.
        if !host.isInterpreting { host.bootID = "" }
        facts.append("\(host)")
        // Without the number of the processor that this runs on.
        let (first, seventh) = (HostProcessor.cpuid(leaf: 1), HostProcessor.cpuid(leaf: 7))
        facts.append("\(first.eax) \(first.ecx) \(first.edx) \(seventh.ebx) \(seventh.ecx) \(seventh.edx)")
        return digest(facts.joined(separator: "\n"))
    }

    /// FNV-1a of 128 bits: nobody but this user makes the text or the folder.
    private static func digest(_ text: String) -> String {
        let prime = (UInt128(1) << 88) + 0x13b
        let start = UInt128(0x6c62_272e_07bb_0142) << 64 | UInt128(0x62b8_2175_6295_c58d)
        let value = text.utf8.reduce(start) { ($0 ^ UInt128($1)) &* prime }
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    private static func isName(_ name: String) -> Bool {
        name.utf8.count == 32 && name.allSatisfy { $0.isASCII && $0.isHexDigit }
    }
}

extension RunCommand {
    /// Indicates whether the machine is the default guest as it is, in this process: one that may go on from a ready snapshot.
    var isPlain: Bool {
        let isOther =
            kernel != nil || config != nil || !disks.isEmpty || keep != nil || cmdline != nil || cmdlineOnly != nil
            || cpus != nil || memory != nil || entry != nil || noEntropy || exitStatusPort || isNamed
        if case .file = console { return false }
        return !isOther && !boot
    }

    /// Runs the default guest from a ready snapshot, or boots it and has one saved.
    ///
    /// - Throws: The reason why it cannot start.
    func runPlain(_ configuration: MachineConfiguration) throws -> ExitCode {
        let isAlone = configuration.networkInterfaces.isEmpty && configuration.vsock == nil
        guard isPlain, isAlone, let ready = ReadySnapshots(),
            let guest = try? DefaultGuest.find(vcpuCount: configuration.size.vcpuCount),
            let name = ReadySnapshots.name(of: configuration, images: [guest.kernel, guest.root])
        else { return try runHere(.boot(configuration)) }
        if let snapshot = ready.snapshot(name) {
            Self.tell(of: snapshot)
            return try runHere(.restore(snapshot, RestoreOptions()))
        }
        guard let path = ready.place(for: name, of: configuration) else { return try runHere(.boot(configuration)) }
        return try runHere(.boot(configuration), saving: path) { machine in
            // Another process may have been faster.
            machine.saveWhenReady(SaveOptions(.folder(path, isReplacing: true))) { _ in
                ready.prune(keeping: ReadySnapshots.limit)
            }
        }
    }

    /// Tells the user of a machine that continues instead of a boot.
    static func tell(of snapshot: MachineSnapshot) {
        let age = age(seconds: Int64(time(nil)) - snapshot.machine.time)
        Messages.write("restored from a snapshot of this guest, taken \(age) ago; --boot boots it")
    }

    /// A length of time in words: `3 min`.
    static func age(seconds: Int64) -> String {
        switch max(0, seconds) {
        case ..<60: "\(max(0, seconds)) s"
        case ..<3600: "\(seconds / 60) min"
        case ..<86400: "\(seconds / 3600) h"
        default: "\(seconds / 86400) days"
        }
    }
}
