// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The few things that a comparison does with files.
enum Files {
    /// All bytes of a file; those of `/proc` have no size beforehand.
    ///
    /// - Throws: `ComparisonError.system`.
    static func bytes(_ path: String) throws(ComparisonError) -> [UInt8] {
        let file = try checked("opening \(path)", unsafe open(path, O_RDONLY | O_CLOEXEC).orErrno)
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe read(file, &buffer, buffer.count)
            try checked("reading \(path)", CInt(clamping: count).orErrno)
            guard count > 0 else { return bytes }
            bytes += buffer.prefix(count)
        }
    }

    /// A file as text.
    ///
    /// - Throws: `ComparisonError.system`.
    static func text(_ path: String) throws(ComparisonError) -> String {
        String(decoding: try bytes(path), as: UTF8.self)
    }

    /// Makes a file, or replaces what is in it.
    ///
    /// - Throws: `ComparisonError.system`.
    static func write(_ bytes: some Collection<UInt8>, to path: String, mode: mode_t = 0o644) throws(ComparisonError) {
        let file = try checked(
            "making \(path)",
            unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode).orErrno
        )
        defer { close(file) }
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            try checked("writing \(path)", CInt(clamping: count).orErrno)
            rest = rest.dropFirst(count)
        }
    }

    /// Creates a folder if it is missing.
    ///
    /// - Throws: `ComparisonError.system`.
    static func makeFolder(_ path: String) throws(ComparisonError) {
        do throws(Errno) { try FolderTree.make(FilePath(hostText: path)) } catch {
            throw .system(operation: "making the folder \(path)", errno: error)
        }
    }

    /// Removes a file or a folder with all that is in it; stays on its file system.
    static func remove(_ path: String) { FolderTree.remove(FilePath(hostText: path)) }

    /// The names in a folder, none where it cannot be read.
    static func names(in path: String) -> [String] {
        (try? FolderListing.names(in: path)) ?? []
    }

    /// The size of a file or folder on its disk: blocks, so holes do not count.
    static func allocatedByteCount(_ path: String) -> Double {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return 0 }
        let own = Double(status.st_blocks) * 512
        guard status.st_mode & S_IFMT == S_IFDIR else { return own }
        return names(in: path).reduce(own) { $0 + allocatedByteCount("\(path)/\($1)") }
    }

    static func isThere(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }

    static func isExecutable(_ path: String) -> Bool {
        unsafe access(path, X_OK) == 0
    }

    /// The target of a symbolic link, if it is one.
    static func linkTarget(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }
}

extension CInt {
    /// The result of a C function that gives -1 and sets errno, as the functions of this package's C parts give it.
    fileprivate var orErrno: CInt { self < 0 ? -errno : self }
}
