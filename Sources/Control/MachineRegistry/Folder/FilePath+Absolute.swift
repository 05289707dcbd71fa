// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

extension FilePath {
    /// The same file for a process that works in another folder.
    var absolute: FilePath {
        guard isRelative else { return self }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe getcwd(&buffer, buffer.count) != nil else { return self }
        let bytes = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        return FilePath(String(decoding: bytes, as: UTF8.self)).pushing(self)
    }
}
