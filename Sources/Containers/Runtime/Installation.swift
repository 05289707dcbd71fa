// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The folders of the command `martlet` and the guest: beside this program, or where its source was built.
struct Installation {
    let command: FilePath
    let images: FilePath
    /// Folders with shared libraries that `martlet` needs; none for a static program.
    let libraries: [FilePath]

    init() throws(RuntimeProblem) {
        guard let executable = ProcessArguments.executable else {
            throw RuntimeProblem("this program does not know where it is")
        }
        let folder = executable.parent
        command = folder.appending("martlet")
        guard command.allows(X_OK) else {
            throw RuntimeProblem("\(command) does not exist: martlet-runtime must be installed beside martlet")
        }
        if let named = ProcessArguments.environment(GuestImageFolders.environmentVariable) {
            images = FilePath(hostText: named)
        } else if let own = GuestImageFolders.folders(of: executable).first {
            images = own
        } else {
            throw RuntimeProblem("no guest belongs to \(executable): it is neither installed nor in a build tree")
        }
        let kernel = images.appending("vmlinux")
        guard kernel.allows(R_OK) else {
            throw RuntimeProblem("the guest is not built: \(kernel) does not exist (make guest-images)")
        }
        libraries = Self.mappedLibraryFolders()
    }

    /// The folders of the libraries that this program itself was linked with at its start: `martlet` is linked as this program is.
    private static func mappedLibraryFolders() -> [FilePath] {
        let maps = (try? FileContents.bytes(of: "/proc/self/maps", limit: 1 << 20)) ?? []
        var folders: [FilePath] = []
        for line in String(hostBytes: maps).split(separator: "\n") where line.has(".so") {
            guard let start = line.firstIndex(of: "/") else { continue }
            let folder = FilePath(hostText: String(line[start...])).parent
            if !folders.contains(folder) { folders.append(folder) }
        }
        return folders
    }
}
