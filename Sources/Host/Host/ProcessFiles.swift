// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// Files of the kernel's about this process and its host, which stay open: a process in a sandbox opens no others.
package enum ProcessFiles {
    /// The kernel's entry for each page of this process (Documentation/admin-guide/mm/pagemap.rst); `nil` where there is no /proc.
    package static let pageMap = open("/proc/self/pagemap")
    /// The mappings with their sizes in memory (proc(5), /proc/PID/smaps); `nil` where there is no /proc.
    package static let mappings = open("/proc/self/smaps")
    /// The id of the host's boot; empty where it has none.
    package static let bootID = String(
        (try? FileContents.text(of: "/proc/sys/kernel/random/boot_id", limit: 256))?.split(separator: "\n").first ?? ""
    )

    /// Opens all that are still to be opened.
    package static func open() { _ = (pageMap, mappings, bootID) }

    /// Not with root's rights, by which the kernel would go on telling where in the host's memory each page is.
    private static func open(_ path: String) -> FileDescriptor? {
        let file = unsafe chost_open_as_user(path)
        return file >= 0 ? FileDescriptor(rawValue: file) : nil
    }
}
