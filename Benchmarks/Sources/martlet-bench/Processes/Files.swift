// SPDX-License-Identifier: Apache-2.0

import Glibc

/// All bytes of a file; those of `/proc` have no size beforehand.
func readBytes(_ path: String) throws -> [UInt8] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw BenchmarkError(errno: errno, of: path) }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = unsafe read(file, &buffer, buffer.count)
        guard count >= 0 else { throw BenchmarkError(errno: errno, of: path) }
        guard count > 0 else { return bytes }
        bytes += buffer.prefix(count)
    }
}

/// A file as text.
func readFile(_ path: String) throws -> String {
    String(decoding: try readBytes(path), as: UTF8.self)
}

/// Where a symbolic link points.
func linkTarget(_ path: String) throws -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink(path, &buffer, buffer.count)
    guard count > 0 else { throw BenchmarkError(errno: errno, of: path) }
    return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
}
