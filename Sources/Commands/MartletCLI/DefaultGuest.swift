// SPDX-License-Identifier: Apache-2.0

import Glibc
import Machine
import SystemPackage

/// The guest that runs when the user names no kernel: what guest-images/ builds.
struct DefaultGuest {
    let kernel: FilePath
    let root: FilePath
    let parameters: [String]

    /// Names another folder to look in, before all others.
    static let environmentVariable = "MARTLET_GUEST_IMAGES"

    /// Finds the images.
    ///
    /// - Parameter vcpuCount: More than one takes the kernel that can use them; the other one boots faster.
    /// - Returns: The images of the first folder that holds them.
    /// - Throws: `NotFound`, which says how to build them.
    static func find(vcpuCount: Int) throws -> DefaultGuest {
        let suffix = vcpuCount > 1 ? "-smp" : ""
        // What the guest wants everywhere, and what makes it bearable where its kernel's code is interpreted.
        let parameterFiles = ["cmdline"] + (InterpretedHost.isThisHost ? ["cmdline-interpreting\(suffix)"] : [])
        for folder in folders {
            let kernel = folder.appending("vmlinux\(suffix)")
            let root = folder.appending("root.ext4")
            guard isReadable(kernel), isReadable(root) else { continue }
            return DefaultGuest(
                kernel: kernel,
                root: root,
                parameters: try parameterFiles.flatMap { try parameters(in: folder.appending($0)) }
            )
        }
        throw NotFound()
    }

    struct NotFound: Error, CustomStringConvertible {
        var description: String {
            """
            the default guest is not built yet: run `make guest-images` where Martlet's source is (about six minutes), \
            set \(environmentVariable) to the folder that holds it, or name a KERNEL
            """
        }
    }

    /// Where images may be: what the user says, beside the source tree that this program was built in, installed.
    private static var folders: [FilePath] {
        if let folder = unsafe getenv(environmentVariable) {
            return [FilePath(unsafe String(cString: folder))]
        }
        var folders: [FilePath] = []
        var place = executable?.removingLastComponent()
        while let folder = place, !folder.components.isEmpty {
            folders.append(folder.appending("guest-images").appending("build"))
            folders.append(folder.appending("share").appending("martlet"))
            place = folder.removingLastComponent()
        }
        return folders
    }

    static var executable: FilePath? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return FilePath(String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    private static func isReadable(_ path: FilePath) -> Bool {
        unsafe path.withPlatformString { unsafe access($0, R_OK) == 0 }
    }

    /// The parameters in a file of one line, if there is one.
    private static func parameters(in path: FilePath) throws -> [String] {
        guard isReadable(path) else { return [] }
        let file = try FileDescriptor.open(path, .readOnly)
        return try file.closeAfter {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            return String(decoding: buffer.prefix(count), as: UTF8.self).split { $0.isWhitespace }.map(String.init)
        }
    }
}
