// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
import SystemPackage

/// The option by which a machine's process gets a root and namespaces of its own.
struct JailOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Show the machine's process no files of the host's but DIR and its own folder, and give it its own namespaces. \
            Like --detach and --name, this starts a process for the machine. Needs --user for root.
            """,
            valueName: "dir"
        ),
        completion: .directory
    )
    var jail: String?

    /// Checks that this host has a jail for this user.
    ///
    /// `advice` is the way to be another user than root.
    func validate(in sandbox: Sandbox.Mode, user: HostUser?, advice: String = "needs --user") throws {
        guard let jail else { return }
        guard FilePath(hostText: jail).isFolder else {
            throw ValidationError("--jail: \(jail) is not a folder: make one, which may be empty.")
        }
        guard try realPath(jail) != "/" else {
            throw ValidationError("--jail: / is the whole host; name another folder.")
        }
        if sandbox == .off { throw ValidationError("--jail is a part of the sandbox: leave out --sandbox off.") }
        if geteuid() == 0, user == nil {
            throw ValidationError("--jail as root \(advice): root's files would be open to whoever breaks out.")
        }
        do throws(Errno) {
            try ProcessLaunch.Jail.check()
        } catch {
            throw ValidationError(
                """
                --jail: this host does not let you make namespaces (\(error)): start the machine as root with --user, or leave \
                --jail out.
                """
            )
        }
    }

    /// The folder without links on its way, as a sandbox wants it; `nil` for no jail.
    func folders() throws -> [FilePath]? { try jail.map { [try realPath($0)] } }

    private func realPath(_ path: String) throws -> FilePath {
        do throws(Errno) { return try FilePath(hostText: path).withoutLinks() } catch {
            throw ValidationError("--jail: \(path): \(error).")
        }
    }
}
