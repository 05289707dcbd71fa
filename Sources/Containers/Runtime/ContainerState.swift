// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage

/// The files that Martlet keeps about one container, beside those of runc.
struct ContainerState {
    /// A name for the container that no other one of this host has.
    let key: String
    /// The folder that runc takes for the bundle.
    let folder: FilePath

    /// The files that the container's process can read and write there.
    var shared: FilePath { folder.appending("c") }
    /// The description of the machine's interfaces, where it has some.
    var network: FilePath { shared.appending("network.json") }
    /// The empty root of what runs on the host.
    var outer: FilePath { folder.appending("root") }
    private var origin: FilePath { folder.appending("origin.json") }

    /// A short path, whatever the engine's own is: sockets have a limit.
    ///
    /// Not in the folder of machines with names, which must be closed to others and would list it.
    ///
    /// - Parameters:
    ///   - options: The command line.
    ///   - id: Another container of the same engine's; `nil` for the one that the command is about.
    /// - Throws: `RuntimeProblem` where the command line has no id.
    init(_ options: RuntimeOptions, id: String? = nil) throws(RuntimeProblem) {
        let base: String
        if geteuid() == 0 { base = "/run" } else { base = ProcessArguments.environment("XDG_RUNTIME_DIR") ?? "/tmp" }
        let id = if let id { id } else { try options.requireID() }
        let digest = SHA256.hex(of: Array((options.root + "\0" + id).hostBytes))
        key = String(digest.prefix(24))
        folder = FilePath(hostText: "\(base)/martlet-oci/\(key)")
    }

    var exists: Bool { origin.exists }

    /// Makes the folder, empty.
    func make() throws(RuntimeProblem) {
        FolderTree.remove(folder)
        do throws(Errno) {
            try FolderTree.make(folder.parent.parent)
            try FolderTree.make(folder, mode: 0o700)
            for path in [shared, outer, shared.appending("files")] { try FolderTree.make(path) }
        } catch {
            throw RuntimeProblem("cannot make \(folder): \(error)")
        }
    }

    func remove() {
        if let scratch = (try? read(origin)).flatMap({ $0["scratch"].string }), scratch.hasPrefix("/") {
            FilePath(hostText: scratch).removeFile()
        }
        FolderTree.remove(folder)
    }

    /// Records the engine's arguments, for later commands.
    ///
    /// - Parameter description: `bundle`, its bundle; `scratch`, a disk that goes with the container; `pid_file`, in which runc
    ///   leaves the number of the container's process; `network_namespace`, the path of its network where the engine made that;
    ///   `cgroup`, the path of its group where the engine chose one; `memory_mib` and `vcpu_count`, the guest's size; `boots`, true for a
    ///   guest that is to boot in any case; `pod`, true for a pod's machine, whose `sysctl` its containers get; `member`, true for a
    ///   container in one, which has `memory_limit`; `martlet`, `images` and `templates`, the paths of the command, of the guest's images and of the
    ///   templates.
    /// - Throws: `RuntimeProblem` where it cannot be written.
    func saveOrigin(_ description: JSONValue) throws(RuntimeProblem) { try write(description, to: origin) }

    func originDescription() throws(RuntimeProblem) -> JSONValue { try read(origin) }

    /// The number of the container's process.
    ///
    /// - Returns: The number, in the namespace of the engine.
    /// - Throws: `RuntimeProblem` where runc has left none.
    func process(of origin: JSONValue) throws(RuntimeProblem) -> pid_t {
        let file = FilePath(hostText: origin["pid_file"].string ?? "")
        let text = (try? FileContents.bytes(of: file, limit: 32)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard let process = pid_t(text.filter { $0.isASCII && $0.isNumber }), process > 0 else {
            throw RuntimeProblem("\(file) does not hold the number of the container's process")
        }
        return process
    }

    // MARK: - JSON files

    /// Gives the program that this process becomes something to read, which ends with it.
    ///
    /// - Returns: The path by which that program finds it.
    func handOver(_ value: JSONValue, as name: String) throws(RuntimeProblem) -> String {
        let path = folder.appending("\(name)-\(getpid()).json")
        try write(value, to: path)
        defer { path.removeFile() }
        // Without O_CLOEXEC: the program is to have it.
        let raw = unsafe path.withPlatformString { unsafe open($0, O_RDONLY) }
        guard raw >= 0 else { throw RuntimeProblem("cannot read \(path): \(Errno(rawValue: errno))") }
        return "/proc/self/fd/\(raw)"
    }

    func read(_ path: FilePath) throws(RuntimeProblem) -> JSONValue {
        do { return try JSONValue(parsing: try FileContents.bytes(of: path, limit: 16 << 20, kind: .any)) } catch {
            throw RuntimeProblem("cannot read \(path): \(error)")
        }
    }

    func write(_ value: JSONValue, to path: FilePath) throws(RuntimeProblem) {
        do throws(Errno) { try FileContents.write(Array(value.text.utf8), to: path) } catch {
            throw RuntimeProblem("cannot write \(path): \(error)")
        }
    }
}

extension JSONValue {
    /// The value with a member set; anything else than an object becomes one.
    func with(_ name: String, _ value: JSONValue?) -> JSONValue {
        var object = JSONObject()
        if case .object(let own) = self { object = own }
        object[name] = value
        return .object(object)
    }
}
