// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Machine
import SystemPackage

/// The guest that runs when the user names no kernel: what guest-images/ builds.
struct DefaultGuest {
    let kernel: FilePath
    let root: FilePath
    let parameters: [String]

    /// Finds the images.
    ///
    /// - Parameter vcpuCount: More than one takes the kernel that can use them; the other one boots faster.
    /// - Returns: The images of the folder that the user names, else of this program's own installation or build tree.
    /// - Throws: `NotFound`, which says how to build them, or `Untrusted`.
    static func find(vcpuCount: Int) throws -> DefaultGuest {
        let suffix = vcpuCount > 1 ? "-smp" : ""
        // The second file holds what makes the guest bearable where its kernel's code is interpreted.
        let parameterFiles = ["cmdline"] + (InterpretedHost.isThisHost ? ["cmdline-interpreting\(suffix)"] : [])
        if let named = ProcessArguments.environment(GuestImageFolders.environmentVariable) {
            let folder = FilePath(hostText: named)
            guard let guest = try guest(in: folder, suffix, parameterFiles) else { throw NotFound() }
            return guest
        }
        for folder in ProcessArguments.executable.map(GuestImageFolders.folders(of:)) ?? [] {
            guard let guest = try guest(in: folder, suffix, parameterFiles) else { continue }
            for path in [folder, guest.kernel, guest.root] + parameterFiles.map({ folder.appending($0) }) {
                try checkOwner(of: path)
            }
            return guest
        }
        throw NotFound()
    }

    private static func guest(
        in folder: FilePath,
        _ suffix: String,
        _ parameterFiles: [String]
    ) throws -> DefaultGuest? {
        let (kernel, root) = (folder.appending("vmlinux\(suffix)"), folder.appending("root.ext4"))
        guard kernel.allows(R_OK), root.allows(R_OK) else { return nil }
        return DefaultGuest(
            kernel: kernel,
            root: root,
            parameters: try parameterFiles.flatMap { try parameters(in: folder.appending($0)) }
        )
    }

    struct NotFound: Error, CustomStringConvertible {
        var description: String {
            """
            the default guest is not built yet: run `make guest-images` where Martlet's source is (about six minutes), \
            set \(GuestImageFolders.environmentVariable) to the folder that holds it, or name a KERNEL
            """
        }
    }

    /// Images that somebody else may have made or changed.
    struct Untrusted: Error, CustomStringConvertible {
        let path: FilePath
        var description: String {
            """
            \(path) belongs to another user or may be written by everybody, so it is not run: mend its owner and mode, or \
            set \(GuestImageFolders.environmentVariable) to the folder that holds the guest
            """
        }
    }

    /// Makes sure that a file is root's, this user's, or that of the program's owner, and nobody else writes it.
    private static func checkOwner(of path: FilePath) throws {
        guard let status = try? path.stat() else { return }
        let owners = [0, geteuid(), (try? ProcessArguments.executable?.stat())?.userID.rawValue ?? 0]
        guard owners.contains(status.userID.rawValue), !status.permissions.contains(.otherWrite) else {
            throw Untrusted(path: path)
        }
    }

    /// The parameters in a file of one line, if there is one.
    private static func parameters(in path: FilePath) throws -> [String] {
        guard path.allows(R_OK) else { return [] }
        return try FileContents.text(of: path, limit: 4096).split { $0.isWhitespace }.map(String.init)
    }
}
