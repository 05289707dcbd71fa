// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A folder for the files of one run, removed with all that is in it at the end.
final class TemporaryFolder {
    private let path: String
    private var files: [String] = []

    init() throws {
        var template = Array("/tmp/martlet-bench.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw BenchmarkError(errno: errno, of: "mkdtemp") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        for file in files { unsafe unlink(file) }
        unsafe rmdir(path)
    }

    /// The path for a file named `name`, which whoever asks is going to make.
    func reserve(_ name: String) -> String {
        files.append("\(path)/\(name)")
        return "\(path)/\(name)"
    }

    /// Writes a file and gives its path.
    func write(_ bytes: [UInt8], to name: String) throws -> String {
        let path = reserve(name)
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw BenchmarkError(errno: errno, of: path) }
        defer { close(file) }
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(file, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
            }
            guard count > 0 else { throw BenchmarkError(errno: errno, of: path) }
            done += count
        }
        return path
    }
}
