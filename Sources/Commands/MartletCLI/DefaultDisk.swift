// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Storage
import SystemPackage

/// The root of the default guest, for one machine: a copy, so that nothing ever changes the shipped image.
final class DefaultDisk: Sendable {
    /// The path at which the machine opens it.
    let path: FilePath
    /// Keeps a copy without a name alive.
    private let copy: PrivateCopy?

    /// - Parameters:
    ///   - guest: Whose root it is.
    ///   - keptPath: The file that is the copy, created if missing, under its name only when it is whole; `nil` for a
    ///     copy that ends with this process.
    /// - Throws: `StorageError` where there is no room for a copy, for one.
    init(of guest: DefaultGuest, keptAt keptPath: String?) throws {
        if let keptPath {
            path = FilePath(hostText: keptPath)
            copy = nil
            if !path.exists { try DiskFile.copy(of: guest.root, to: path) }
        } else {
            let copy = try DiskFile.privateCopy(of: guest.root, in: Self.temporaryFolder)
            path = copy.path
            self.copy = copy
        }
    }

    /// The open file of a copy without a name.
    var file: FileDescriptor? { copy?.descriptor }

    private static var temporaryFolder: FilePath {
        FilePath(hostText: ProcessArguments.environment("TMPDIR") ?? "/tmp")
    }
}
