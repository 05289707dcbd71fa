// SPDX-License-Identifier: Apache-2.0

import SystemPackage

/// The files that are the same in all environments: one program, or two.
///
/// The process runs them where they are, the container has them as its root file system, and the machine in an archive that
/// its kernel unpacks into memory.
struct UserSpace {
    /// The program that is made for comparing: guest-images/compare/subject.c.
    static let subject = "subject"
    /// The user's program, with `--workload`.
    static let workload = "workload"

    /// The root folder, for containers.
    let root: String
    let archive: String
    /// The folders of the root folder that hold programs.
    var programs: String { "\(root)/bin" }

    /// Folders that containers and machines mount things on, or want.
    private static let folders = ["bin", "data", "dev", "proc", "sys", "tmp"]

    /// Makes root folder and archive.
    init(images: String, workload: String?, in folder: WorkFolder) throws(ComparisonError) {
        root = "\(folder.path)/rootfs"
        archive = "\(folder.path)/rootfs.cpio"
        var programs = [(Self.subject, try Files.bytes("\(images)/compare-subject"))]
        if let workload { programs.append((Self.workload, try Files.bytes(workload))) }

        try Files.makeFolder(root)
        var cpio = CPIOArchive()
        for name in Self.folders {
            try Files.makeFolder("\(root)/\(name)")
            cpio.addFolder(name)
        }
        // The kernel opens it for the first process before anything is mounted.
        cpio.addCharacterDevice("dev/console", major: 5, minor: 1)
        cpio.addProgram("init", try Files.bytes("\(images)/compare-init"))
        for (name, bytes) in programs {
            try Files.write(bytes, to: "\(root)/bin/\(name)", mode: FilePermissions(rawValue: 0o755))
            cpio.addProgram("bin/\(name)", bytes)
        }
        try Files.write(cpio.finished(), to: archive)
    }
}
