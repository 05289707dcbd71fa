// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The means that all environments of a comparison share.
struct Workplace {
    let userSpace: UserSpace
    let folder: WorkFolder
    /// Ends every wait.
    let interruption: Interruption

    /// Starts a program whose messages go to a file of the folder.
    func start(
        _ command: [String],
        messages name: String,
        withoutCGroup2: Bool = false
    ) throws(ComparisonError) -> HostProcess {
        try HostProcess(
            command,
            messages: "\(folder.path)/\(name)",
            withoutCGroup2: withoutCGroup2,
            interruption: interruption
        )
    }
}

/// The folder of one comparison: everything that it writes is in it, and it is gone in the end.
final class WorkFolder {
    var path: String { folder.path.string }
    private let folder: LockedFolder

    /// Makes one in `TMPDIR`, else in `/var/tmp`, which is on a disk where `/tmp` may be in memory.
    init() throws(ComparisonError) {
        do throws(Errno) {
            folder = try LockedFolder(prefix: Self.parent.appending("\(Self.prefix)\(getpid())-"))
        } catch {
            throw .system(operation: "making a folder in \(Self.parent)", errno: error)
        }
        // Programs of other users are to find what they run: those of a container with user namespaces.
        unsafe chmod(path, 0o755)
    }

    private static var parent: FilePath { ProcessArguments.temporaryFolder }

    /// Removes what comparisons left that were killed (SIGKILL, a power cut): their folders, containers and cgroups.
    ///
    /// Their other processes ended with them.
    static func removeLeftovers() {
        guard let parent = try? OwnedDescriptor(openingFolder: parent) else { return }
        LockedFolder.forEachAbandoned(in: parent, where: { $0.hasPrefix(prefix) }) { name, _ in
            // Containers are named after the process, as the folder is: martlet-compare-PID-…
            CGroup.remove(named: name.split(separator: "-").prefix(3).joined(separator: "-") + "-")
            Files.remove("\(Self.parent)/\(name)")
        }
    }

    static let prefix = "martlet-compare-"

    /// Indicates whether a sync of a file in it reaches no disk.
    var isInMemory: Bool { folder.path.isInMemory }

    deinit {
        Files.remove(path)
    }
}
