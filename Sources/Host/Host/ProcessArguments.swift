// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// The command line of this process.
package enum ProcessArguments {
    /// The arguments after the program's name, each as text that may stand for bytes that are not UTF-8.
    ///
    /// `CommandLine` has none of them in a jail without /proc.
    package static var all: [String] {
        (1..<max(1, chost_argument_count())).compactMap { index in
            unsafe chost_argument(index).map { unsafe String(hostString: $0) }
        }
    }

    /// Indicates whether this process was started under the name `firecracker`, or a name that begins so, and stands in for
    /// that program.
    package static let standsInForFirecracker = unsafe String(hostString: chost_program_name()).hasPrefix("firecracker")

    /// The path of this program; `nil` in a jail without /proc.
    package static var executable: FilePath? {
        (try? FilePath("/proc/self/exe").linkTarget()).map { FilePath(hostText: $0) }
    }

    /// The folder for temporary files that may be large: `TMPDIR`, or one on a disk, which /tmp may not be.
    package static var temporaryFolder: FilePath { FilePath(hostText: environment("TMPDIR") ?? "/var/tmp") }

    /// The user's folder for what Martlet makes again when it is gone: `XDG_CACHE_HOME`, or `~/.cache`; `nil` without a home.
    package static var cacheFolder: FilePath? {
        for (variable, folder) in [("XDG_CACHE_HOME", "martlet"), ("HOME", ".cache/martlet")] {
            guard let base = environment(variable), base.hasPrefix("/") else { continue }
            return FilePath(hostText: base).appending(folder)
        }
        return nil
    }

    /// The value of an environment variable that is set and not empty.
    ///
    /// - Returns: Its value, as text that may stand for bytes which are not UTF-8.
    package static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(hostString: value)
    }
}
