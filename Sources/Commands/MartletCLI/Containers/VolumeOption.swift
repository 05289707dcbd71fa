// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import MachineRegistry
import SystemPackage

/// A file or folder of the host that a container reads, as people write it: `./etc:/etc/app:ro`.
///
/// A machine has no folder in common with its host, so the container gets a copy.
struct VolumeOption {
    let source: FilePath
    let target: String

    /// Reads the option.
    ///
    /// - Throws: `OptionProblem`, for what would need a folder that the host and the guest share.
    init(parsing argument: String) throws(OptionProblem) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), !parts[0].isEmpty, parts[1].hasPrefix("/") else {
            throw OptionProblem("'\(argument)' is not HOST:GUEST:ro, with an absolute path in the container")
        }
        guard parts[0].contains("/") || parts[0] == "." || parts[0] == ".." else {
            throw OptionProblem(
                "'\(parts[0])' is the name of a volume, which only container engines have: write a path, ./\(parts[0])"
            )
        }
        let options = parts.count > 2 ? parts[2].split(separator: ",") : []
        guard options.contains("ro") else {
            throw OptionProblem(
                """
                '\(argument)': a machine cannot share what the program writes with the host; add :ro, then the container gets \
                a copy, or fetch files with `martlet cp`
                """
            )
        }
        if let other = options.first(where: { !["ro", "z", "Z"].contains($0) }) {
            throw OptionProblem("unknown volume option '\(other)'; the valid one is ro")
        }
        (source, target) = (FilePath(hostText: parts[0]).absolute, parts[1])
    }

    /// The copy in the container.
    var mount: GuestContainer.Mount { .files(at: source, target: target, isReadOnly: true) }
}
