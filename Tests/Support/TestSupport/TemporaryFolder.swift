// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// A folder for one test, gone with everything in it when the value is.
package final class TemporaryFolder {
    package let path: String

    package init() throws {
        var template = Array("/tmp/martlet-test-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw SystemCallFailure("mkdtemp") }
        path = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { FolderTree.remove(FilePath(path)) }

    /// Makes a file.
    ///
    /// - Returns: Its path.
    @discardableResult
    package func write(_ bytes: [UInt8], to name: String) throws -> String {
        let path = "\(path)/\(name)"
        let descriptor = try checked("open \(path)", unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            rest = rest.dropFirst(try checked("write \(path)", count))
        }
        return path
    }

    /// Makes a file of holes only.
    ///
    /// - Returns: Its path.
    package func makeSparseFile(_ name: String, byteCount: Int) throws -> String {
        let path = try write([], to: name)
        _ = try checked("truncate \(path)", unsafe truncate(path, byteCount))
        return path
    }

    /// The names of what is in it.
    package func names() throws -> [String] {
        try FolderListing.names(in: path)
    }

    /// The contents of the file `name`, at most 64 MiB of it.
    package func read(_ name: String) throws -> [UInt8] {
        try FileContents.read("\(path)/\(name)")
    }
}

/// The contents of files.
package enum FileContents {
    /// The contents of a file, or its first bytes.
    package static func read(_ path: String, limit: Int = 64 << 20) throws -> [UInt8] {
        let descriptor = try checked("open \(path)", unsafe open(path, O_RDONLY | O_CLOEXEC))
        defer { close(descriptor) }
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while contents.count < limit {
            let wanted = min(buffer.count, limit - contents.count)
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, wanted) }
            guard try checked("read \(path)", count) > 0 else { break }
            contents += buffer.prefix(count)
        }
        return contents
    }
}
