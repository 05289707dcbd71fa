// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TestSupport

/// A folder for one test, gone with everything below it when the value is.
final class RegistryFolder {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        unsafe chmod(folder.path, 0o700)
    }

    deinit {
        _ = try? ChildProcess("/bin/rm", ["-rf", folder.path], descriptors: [.null, .null, .null]).wait()
    }

    var path: FilePath { FilePath(folder.path) }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try folder.write(Array(text.utf8), to: name)
    }

    func read(_ name: String) throws -> String {
        String(decoding: try folder.read(name), as: UTF8.self)
    }

    /// The sorted names in a folder of this one.
    func names(_ name: String = ".") throws -> [String] {
        let listing = unsafe opendir("\(folder.path)/\(name)")
        guard let listing = unsafe listing else { return [] }
        defer { unsafe closedir(listing) }
        var names: [String] = []
        while let entry = unsafe readdir(listing) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
