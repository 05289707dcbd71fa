// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import SystemPackage
import TestSupport
import Testing

/// `martlet-monitor` under the name `firecracker`, as that program's jailer and clients start it.
struct StandInTests {
    private let folder: TemporaryFolder
    private let program: String

    init() throws {
        folder = try TemporaryFolder()
        program = "\(folder.path)/firecracker"
        let monitor = Martlet.program + "-monitor"
        try #require(unsafe symlink(monitor, program) == 0)
    }

    /// A program with its output in the file `output`.
    private func start(_ program: String, _ arguments: [String]) throws -> ChildProcess {
        let output = try folder.write([], to: "output")
        let descriptor = ChildProcess.Descriptor.file(output, flags: O_WRONLY | O_APPEND)
        return try ChildProcess(program, arguments, descriptors: [.null, descriptor, descriptor])
    }

    private func output() throws -> String { String(decoding: try folder.read("output"), as: UTF8.self) }

    private func run(_ arguments: String...) throws -> ChildProcess.Termination {
        try start(program, arguments).wait()
    }

    /// The program with a socket that answers.
    private func serve(_ arguments: String...) throws -> ChildProcess {
        try serve(program, ["--api-sock", "\(folder.path)/api"] + arguments)
    }

    private func serve(_ program: String, _ arguments: [String]) throws -> ChildProcess {
        let socket = FilePath("\(folder.path)/api")
        let process = try start(program, arguments)
        let client = HTTPClient(connectingTo: socket)
        try Deadline.wait(for: "the API") {
            (try? client.request("GET", "/version", timeout: Deadline.standard))?.status == 200
        }
        return process
    }

    @Test func `the version is Firecracker's`() throws {
        #expect(try run("--version") == .exited(0))
        #expect(try output().hasPrefix("Firecracker v1."))
    }

    @Test func `wrong options have Firecracker's exit statuses under its name, and Martlet's under its own`() throws {
        #expect(try run("--bogus") == .exited(153))
        #expect(try run("--level", "Loud") == .exited(152))
        #expect(try run("--start-time-us", "soon") == .exited(153))
        #expect(try run("--no-api") == .exited(153))
        #expect(try run("--enable-pci") == .exited(153))
        #expect(try output().contains("Martlet has no PCI"))
        #expect(try run("--id=web", "--version") == .exited(153))
        #expect(try run("--id", "--version") == .exited(153))
        #expect(try run("--id", "web", "--id", "web", "--version") == .exited(153))
        let monitor = Martlet.program + "-monitor"
        #expect(try start(monitor, ["--id=web", "--id", "web", "--version"]).wait() == .exited(0))
        #expect(try start(monitor, ["--bogus"]).wait() == .exited(64))
        #expect(try start(monitor, ["--level", "Loud"]).wait() == .exited(64))
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `a file's lists of system calls hold, and one that is none is told in the log`() throws {
        let kernel = try folder.write(TinyELF([.spin]).bytes, to: "kernel")
        let machine = #"{"boot-source": {"kernel_image_path": "\#(kernel)"}, "drives": []}"#
        let configuration = try folder.write(Array(machine.utf8), to: "configuration")
        func end(_ filters: String) throws -> (ChildProcess.Termination, String) {
            let filters = try folder.write(Array(filters.utf8), to: "filters")
            let log = try folder.write([], to: "log")
            let process = try start(
                program,
                [
                    "--no-api", "--config-file", configuration, "--seccomp-filter", filters, "--log-path", log,
                    "--metrics-path", try folder.write([], to: "metrics"),
                ]
            )
            return (try process.wait(), String(decoding: try folder.read("log"), as: UTF8.self))
        }
        let (invalid, reason) = try end("Invalid BPF!")
        #expect(invalid == .exited(1) && reason.contains("Seccomp error: Filter deserialization failed"), "\(reason)")
        guard Sandbox.hasFilters else { return }
        let all = #"{"default_action": "allow", "filter_action": "trap", "filter": []}"#
        let some = #"{"default_action": "allow", "filter_action": "trap", "filter": [{"syscall": "ioctl"}]}"#
        let (refused, line) = try end(#"{"vmm": \#(all), "api": \#(all), "vcpu": \#(some)}"#)
        #expect(refused == .exited(148) && line.contains("intercepting a bad syscall (16)"), "\(refused): \(line)")
        let metrics = String(decoding: try folder.read("metrics"), as: UTF8.self)
        #expect(metrics.contains(#""seccomp":{"num_faults":1}"#), "\(metrics)")
    }

    @Test func `what the jailer and clients pass is accepted, and a signal ends the process as that signal`() throws {
        let process = try serve(
            "--id",
            "a-1",
            "--start-time-us",
            "1",
            "--start-time-cpu-us",
            "2",
            "--parent-cpu-time-us",
            "3",
            "--boot-timer",
            "--no-seccomp",
            "--metadata",
            try folder.write(Array("{\"a\": 1}".utf8), to: "metadata.json"),
            "--mmds-size-limit",
            "99",
            "--http-api-max-payload-size",
            "60000",
            "--level",
            "Info",
            "--",
            "--bogus"
        )
        process.send(SIGTERM)
        #expect(try process.wait() == .signaled(SIGTERM))
        let log = try output()
        for text in ["Running Firecracker v1.", "API server started."] {
            #expect(log.contains(text), "\(text)")
        }
    }

    @Test(
        arguments: [
            (SIGBUS, 149), (SIGSEGV, 150), (SIGXFSZ, 151), (SIGXCPU, 154), (SIGHUP, 156), (SIGILL, 157), (SIGSYS, 2),
        ] as [(CInt, CInt)]
    )
    func `a signal ends it with Firecracker's status and words`(signal: CInt, status: CInt) throws {
        let process = try serve()
        process.send(signal)
        #expect(try process.wait() == .exited(status))
        #expect(try output().contains("Shutting down VM after intercepting signal \(signal), code 0."))
    }

    @Test func `its socket has the permissions of Firecracker's, by which its user alone may connect`() throws {
        let process = try serve()
        defer { process.send(SIGKILL) }
        var status = stat()
        try #require(unsafe stat("\(folder.path)/api", &status) == 0)
        #expect(status.st_mode & 0o722 == 0o700)
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `a snapshot beyond the limit of a file's size ends it with Firecracker's status, unanswered`() throws {
        let kernel = try folder.write(TinyELF([.spin]).bytes, to: "kernel")
        let machine = #"{"boot-source": {"kernel_image_path": "\#(kernel)"}, "drives": []}"#
        let configuration = try folder.write(Array(machine.utf8), to: "configuration")
        let socket = "\(folder.path)/api"
        let process = try serve(
            "/usr/bin/prlimit",
            ["--fsize=1048576", program, "--api-sock", socket, "--config-file", configuration]
        )
        let client = HTTPClient(connectingTo: FilePath(socket))
        func request(_ method: String, _ path: String, _ body: String) throws -> Int {
            try client.request(method, path, body: Array(body.utf8), timeout: Deadline.standard).status
        }
        #expect(try request("PATCH", "/vm", #"{"state": "Paused"}"#) == 204)
        let files = #"{"snapshot_path": "\#(folder.path)/state", "mem_file_path": "\#(folder.path)/memory"}"#
        #expect(throws: HTTPClientError.closed) { try request("PUT", "/snapshot/create", files) }
        #expect(try process.wait() == .exited(151))
        #expect(try output().contains("Shutting down VM after intercepting signal \(SIGXFSZ), code 0."))
    }

    @Test func `it outlives SIGPIPE and the signal that takes Firecracker's vCPUs out of the guest`() throws {
        let process = try serve()
        process.send(35)
        process.send(SIGPIPE)
        try Deadline.wait(for: "the log") { try output().contains("Received signal 13, code 0.") }
        process.send(SIGTERM)
        #expect(try process.wait() == .signaled(SIGTERM))
    }

    @Test func `without a file the log is on standard output, and says why the process ends`() throws {
        let log = ChildProcess.Descriptor.file(try folder.write([], to: "output"), flags: O_WRONLY | O_APPEND)
        let arguments = ["--api-sock", "\(folder.path)/api", "--config-file", "\(folder.path)/nothing"]
        #expect(try ChildProcess(program, arguments, descriptors: [.null, log, .null]).wait() == .exited(1))
        for text in ["Running Firecracker v1.", "nothing: cannot be read", "exiting with error. exit_code=1"] {
            #expect(try output().contains(text), "\(text)")
        }
    }

    @Test(arguments: [("Unsafe", 0), ("Writeback", 1)] as [(String, UInt8)])
    func `a disk offers flushes if its cache is Writeback`(cache: String, flush: UInt8) throws {
        // Of the first device: which it is, and the features of which bit 9 is VIRTIO_BLK_F_FLUSH.
        let code: [GuestCode] = [
            .write("device "), .copy(doublewordAt: 0xd000_0008, to: 0x20_0000), .dump(0x20_0000, byteCount: 1),
            .copy(doublewordAt: 0xd000_0010, to: 0x20_0000), .dump(0x20_0001, byteCount: 1), .powerOff, .spin,
        ]
        let kernel = try folder.write(TinyELF(code).bytes, to: "kernel")
        let disk = try folder.write([UInt8](repeating: 0, count: 4096), to: "disk")
        let text = """
            {"boot-source": {"kernel_image_path": "\(kernel)"},
             "drives": [{"drive_id": "d", "path_on_host": "\(disk)", "is_root_device": false, "cache_type": "\(cache)"}]}
            """
        let file = try folder.write(Array(text.utf8), to: "machine.json")
        // The log's lines would come between the guest's bytes.
        #expect(try run("--no-api", "--log-path", "\(folder.path)/log", "--config-file", file) == .exited(0))
        let bytes = try folder.read("output")
        let start = try #require(bytes.firstRange(of: Array("device ".utf8))?.upperBound)
        #expect(bytes[start] == 2)
        #expect(bytes[start + 1] >> 1 & 1 == flush)
    }

    @Test func `the version of snapshots is told, and that of a snapshot`() throws {
        #expect(try run("--snapshot-version") == .exited(0))
        #expect(try output() == "v1.2\n")
        let state = try folder.write(Array("martlet-snapshot 7.1 crc32c=00000000 bytes=0\n".utf8), to: "state")
        #expect(try run("--describe-snapshot", state) == .exited(0))
        #expect(try output() == "v7.1\n")
        #expect(try run("--describe-snapshot", program) == .exited(1))
        #expect(try output().contains("is not a snapshot"))
    }

    @Test func `metadata that cannot be read, or is too large, ends it with Firecracker's words`() throws {
        let log = "\(folder.path)/log"
        let file = try folder.write(Array("{".utf8), to: "metadata")
        #expect(try run("--metadata", file, "--log-path", log) == .exited(1))
        let broken = String(decoding: try folder.read("log"), as: UTF8.self)
        #expect(broken.contains("MMDS error: metadata provided not valid json: EOF while parsing an object"))
        try folder.write(Array("{\"a\": 1}".utf8), to: "metadata")
        let socket = "\(folder.path)/api"
        let words = ["--metadata", file, "--log-path", log, "--mmds-size-limit", "5", "--api-sock", socket]
        #expect(try start(program, words).wait() == .exited(1))
        let limited = String(decoding: try folder.read("log"), as: UTF8.self)
        #expect(limited.contains("Populating MMDS from file failed: The MMDS patch request doesn't fit."))
        #expect(limited.contains("API server started."))
    }

    @Test func `a snapshot that cannot be restored is answered, and then ends the process`() throws {
        let log = "\(folder.path)/log"
        let process = try serve("--log-path", log)
        let client = HTTPClient(connectingTo: FilePath("\(folder.path)/api"))
        func load(_ body: String) throws -> HTTPResponse {
            try client.request("PUT", "/snapshot/load", body: Array(body.utf8), timeout: Deadline.standard)
        }
        // A body that is wrong is only told.
        #expect(try load("{}").status == 400)
        let paths = #"{"snapshot_path": "/none", "mem_backend": {"backend_type": "File", "backend_path": "/none"}}"#
        let answer = try load(paths)
        #expect(answer.status == 400)
        #expect(
            String(decoding: answer.body, as: UTF8.self).contains(
                "Load snapshot error: Failed to restore from snapshot"
            )
        )
        #expect(try process.wait() == .exited(1))
        let text = String(decoding: try folder.read("log"), as: UTF8.self)
        #expect(
            text.contains("Loading snapshot failed.") && text.contains("Firecracker exiting with error. exit_code=1")
        )
    }

    @Test func `what keeps a machine from starting is in the log`() throws {
        let file = try folder.write(
            Array(#"{"boot-source":{"kernel_image_path":"/nowhere"},"drives":[]}"#.utf8),
            to: "machine.json"
        )
        let log = "\(folder.path)/log"
        for broken in [file, "/nowhere/machine.json"] {
            #expect(try run("--no-api", "--log-path", log, "--config-file", broken) == .exited(1))
            let text = String(decoding: try folder.read("log"), as: UTF8.self)
            #expect(text.contains("from one single json") && text.contains("No such file or directory"))
            #expect(text.contains("Firecracker exiting with error. exit_code=1"))
            unsafe unlink(log)
        }
        let process = try serve()
        defer { process.send(SIGKILL) }
        #expect(try run("--api-sock", "\(folder.path)/api", "--log-path", log) == .exited(1))
        let words = "Failed to open the API socket at: \(folder.path)/api. Check that it is not already used."
        #expect(String(decoding: try folder.read("log"), as: UTF8.self).contains(words))
    }

    @Test(
        .enabled(if: geteuid() == 0, "needs root to make a mount namespace"),
        .enabled(if: Sandbox.hasFilters, "a sanitizer needs /proc")
    )
    func `it starts without /proc and with an empty environment, and sees its arguments`() throws {
        let script = "umount -l /proc && exec /usr/bin/env -i \"$0\" --version"
        let process = try start("/usr/bin/unshare", ["-m", "/bin/sh", "-c", script, program])
        #expect(try process.wait() == .exited(0))
        #expect(try output().hasPrefix("Firecracker v1."))
    }
}
