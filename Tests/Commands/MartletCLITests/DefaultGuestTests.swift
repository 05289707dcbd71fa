// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Looks where a copy of the command takes its guest from.
@Suite final class DefaultGuestTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    deinit {
        _ = try? ChildProcess("/bin/rm", ["-rf", folder.path], descriptors: [.null, .null, .null]).wait()
    }

    /// Copies the command to a place in the folder.
    private func install(at place: String) throws -> String {
        let path = "\(folder.path)/\(place)"
        let script = "mkdir -p \"${2%/*}\" && cp \"$1\" \"$2\""
        try run("/bin/sh", ["-c", script, "sh", Martlet.program, path])
        return path
    }

    private func makeImages(in place: String) throws {
        try run("/bin/mkdir", ["-p", "\(folder.path)/\(place)"])
        for name in ["vmlinux", "root.ext4", "cmdline"] { try folder.write([], to: "\(place)/\(name)") }
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        let process = try ChildProcess(program, arguments, descriptors: [.null, .null, .null])
        #expect(try process.wait() == .exited(0))
    }

    /// The guest of the command at `path`, in the words of `doctor`.
    private func guest(of path: String, environment: [String] = []) throws -> String {
        let output = try Pipe()
        let process = try ChildProcess(
            "/usr/bin/env",
            ["-u", "MARTLET_GUEST_IMAGES"] + environment + [path, "doctor"],
            descriptors: [.null, .copy(output.writeEnd), .null]
        )
        close(output.writeEnd)
        let text = String(decoding: try ByteStream(input: output.readEnd, output: nil).readToEnd(), as: UTF8.self)
        _ = try process.wait()
        return text.split(separator: "\n").first { $0.contains("default guest") }.map(String.init) ?? ""
    }

    @Test func `images in a parent folder that is no build tree are not run`() throws {
        let path = try install(at: "deep/down/martlet")
        for place in ["guest-images/build", "share/martlet", "deep/guest-images/build", "deep/share/martlet"] {
            try makeImages(in: place)
        }
        #expect(try guest(of: path).contains("is not built yet"))
        #expect(try guest(of: path, environment: ["MARTLET_GUEST_IMAGES="]).contains("is not built yet"))
    }

    @Test(arguments: [
        ("source/.build/x86_64/debug/martlet", "source/guest-images/build"),
        ("prefix/bin/martlet", "prefix/share/martlet"),
    ])
    func `a build tree and an installation have their own images`(program: String, images: String) throws {
        let path = try install(at: program)
        try makeImages(in: images)
        #expect(try guest(of: path).contains("\(folder.path)/\(images)/vmlinux"))
        unsafe chmod("\(folder.path)/\(images)/vmlinux", 0o666)
        #expect(try guest(of: path).contains("may be written by everybody"))
        unsafe chmod("\(folder.path)/\(images)/vmlinux", 0o644)
        #expect(try guest(of: path).contains("\(folder.path)/\(images)/vmlinux"))
        guard unsafe chown("\(folder.path)/\(images)/root.ext4", 65534, 65534) == 0 else { return }
        #expect(try guest(of: path).contains("belongs to another user"))
        let named = "MARTLET_GUEST_IMAGES=\(folder.path)/\(images)"
        #expect(try guest(of: path, environment: [named]).contains("\(folder.path)/\(images)/vmlinux"))
    }
}
