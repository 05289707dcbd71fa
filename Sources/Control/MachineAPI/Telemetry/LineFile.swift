// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// A file or named pipe that takes lines; a slow reader loses some and delays nothing.
struct LineFile: ~Copyable, Sendable {
    private let file: OwnedDescriptor

    /// - Parameters:
    ///   - path: Created if missing.
    ///   - what: What it is for, for the error.
    /// - Throws: `APIError` where it cannot be opened.
    init(path: String, _ what: String) throws(APIError) {
        // For reading as well: so a named pipe opens without a reader, and stays without one.
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC
        let raw = unsafe FilePath(hostText: path).withPlatformString { unsafe open($0, flags, 0o600) }
        guard raw >= 0 else {
            let cause = Errno(rawValue: errno)
            let failure =
                what == "logger"
                ? "Failed to open target file: " : "Cannot initialize the metrics system due to bad user input: "
            throw APIError(
                "\(what): cannot open \(path): \(cause)",
                firecracker: "\(FirecrackerWords.prefix(of: what))\(failure)\(FirecrackerWords.words(of: cause))"
            )
        }
        file = OwnedDescriptor(adopting: raw)
    }

    /// The file's descriptor.
    var descriptor: CInt { file.rawValue }

    /// Writes one line, all of it or not at all where a pipe has no room.
    func write(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // A full pipe, a full file system: the line is lost, and there is nobody to tell.
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(file.rawValue, $0.baseAddress, $0.count) }
    }
}
