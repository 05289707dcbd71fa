// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import SystemPackage
import TestSupport
import Testing

/// The program `firecracker` in the root that Firecracker's jailer makes: device nodes and the machine's files, no /proc, an empty
/// environment, a user of its own.
@Suite(
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)"),
    .enabled(if: geteuid() == 0, "needs root to make a root of its own")
)
struct JailTests {
    /// Makes the root `$1` in a mount namespace and runs `$1/firecracker` there with the rest of the arguments.
    ///
    /// The libraries are bound into it: the program of a test build is not static, as the one that is installed.
    private static let script = #"""
        set -e
        root=$1 program=$2 images=$3; shift 3
        bind() { mkdir -p "$root${2%/*}"; [ -e "$root$2" ] || : >"$root$2"; mount --bind "$1" "$root$2"; }
        bind "$program" /firecracker
        ldd "$program" | grep -o '/[^ ]*' | while read -r file; do bind "$file" "$file"; done
        bind "$images/vmlinux" /vmlinux
        mkdir -p "$root/dev/net" "$root/run"
        [ -e "$root/dev/kvm" ] || { mknod "$root/dev/kvm" c 10 232; mknod "$root/dev/urandom" c 1 9; }
        chown 1234:1234 "$root" "$root/run" "$root/dev/kvm" "$root/dev/urandom" "$root/disk"
        exec env -i /usr/sbin/chroot --userspec=1234:1234 "$root" /firecracker --id jailed --start-time-us 1 \
            --start-time-cpu-us 1 --parent-cpu-time-us 1 "$@"
        """#

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        _ = try folder.write([UInt8](repeating: 7, count: 1 << 20), to: "disk")
    }

    /// A process in the jail, and a client for its socket.
    private func start(_ socket: String) throws -> (ChildProcess, HTTPClient) {
        let output = try folder.write([], to: "output-\(socket)")
        let descriptor = ChildProcess.Descriptor.file(output, flags: O_WRONLY | O_APPEND)
        let process = try ChildProcess(
            "/usr/bin/unshare",
            [
                "-m", "/bin/sh", "-c", Self.script, "sh", folder.path, Martlet.program + "-monitor", GuestImages.folder,
                "--api-sock",
                "/run/\(socket)",
            ],
            descriptors: [.null, descriptor, descriptor]
        )
        let client = HTTPClient(connectingTo: FilePath("\(folder.path)/run/\(socket)"))
        try Deadline.wait(for: "the API in the jail") {
            (try? client.request("GET", "/version", timeout: Deadline.standard))?.status == 200
        }
        return (process, client)
    }

    private func output(_ socket: String) throws -> String {
        String(decoding: try folder.read("output-\(socket)"), as: UTF8.self)
    }

    private func send(_ client: HTTPClient, _ method: String, _ path: String, _ body: String) throws {
        let response = try client.request(method, path, body: Array(body.utf8), timeout: Deadline.standard)
        #expect(response.status == 204, "\(path): \(String(decoding: response.body, as: UTF8.self))")
    }

    @Test func `a kernel boots in a jail, is saved there, and goes on in another process of the jail`() throws {
        let (process, client) = try start("a")
        defer { process.send(SIGKILL) }
        try send(client, "PUT", "/boot-source", #"{"kernel_image_path": "/vmlinux"}"#)
        try send(client, "PUT", "/machine-config", #"{"vcpu_count": 1, "mem_size_mib": 64}"#)
        try send(client, "PUT", "/drives/d", #"{"drive_id": "d", "path_on_host": "/disk", "is_root_device": false}"#)
        // Firecracker locks no file.
        try send(client, "PUT", "/drives/e", #"{"drive_id": "e", "path_on_host": "/disk", "is_root_device": false}"#)
        try send(client, "PUT", "/vsock", #"{"guest_cid": 3, "uds_path": "/run/v"}"#)
        try send(client, "PUT", "/actions", #"{"action_type": "InstanceStart"}"#)
        try Deadline.wait(for: "the guest's kernel") { try output("a").contains("Linux version") }
        let rights = try #require(ProcessRights(of: process.id))
        #expect(rights.userID == 1234 && rights.capabilities == "0000000000000000")
        #expect((rights.filterCount > 0) == Sandbox.hasFilters)
        try send(client, "PATCH", "/vm", #"{"state": "Paused"}"#)
        try send(client, "PUT", "/snapshot/create", #"{"snapshot_path": "/state", "mem_file_path": "/memory"}"#)
        process.send(SIGTERM)
        #expect(try process.wait() == .signaled(SIGTERM))
        unsafe unlink("\(folder.path)/run/v")

        let (next, other) = try start("b")
        defer { next.send(SIGKILL) }
        try send(
            other,
            "PUT",
            "/snapshot/load",
            #"{"snapshot_path": "/state", "mem_backend": {"backend_type": "File", "backend_path": "/memory"}, "resume_vm": true}"#
        )
        let state = try other.request("GET", "/", timeout: Deadline.standard)
        #expect(String(decoding: state.body, as: UTF8.self).contains(#""state":"Running""#))
        next.send(SIGTERM)
        #expect(try next.wait() == .signaled(SIGTERM))
    }
}
