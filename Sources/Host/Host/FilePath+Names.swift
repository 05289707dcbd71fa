// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

// By the bytes of the text. The components of System's paths make Swift's runtime look through all conformances of the program,
// which is 0.15 ms of a restored machine's start.
extension FilePath {
    /// The folder that the path is in, as a path that can be opened: `.` for a name alone.
    package var parent: FilePath {
        let text = hostText
        guard let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == text.startIndex ? "/" : FilePath(hostText: String(text[..<slash]))
    }

    /// The last name of the path, as text from which its bytes can be made again; empty where there is none.
    package var lastName: String {
        let text = hostText
        return text.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(text[text.utf8.index(after: $0)...]) } ?? text
    }

    /// The same file for a process that works in another folder.
    package var absolute: FilePath {
        guard isRelative else { return self }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe getcwd(&buffer, buffer.count) != nil else { return self }
        return FilePath(platformString: buffer).pushing(self)
    }
}
