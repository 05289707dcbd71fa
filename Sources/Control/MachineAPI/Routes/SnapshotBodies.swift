// SPDX-License-Identifier: Apache-2.0

import Host
import JSON
package import Machine
import MachineModel
import Snapshot
package import SystemPackage

/// The body of `PUT /martlet/snapshot`: a machine is saved to a folder.
struct SnapshotBody: Codable {
    var path: String
    var isReplacing: Bool?
    var isStopping: Bool?
    var disks: SaveOptions.Disks?
    var base: String?
    var isPausing: Bool?
    var files: [String]?

    enum CodingKeys: String, CodingKey {
        case path
        case isReplacing = "replace"
        case isStopping = "stop"
        case disks
        case base = "diff_of"
        case isPausing = "pause"
        case files
    }

    func options(_ passed: PassedFiles?) throws(APIError) -> SaveOptions {
        let path = try absolutePath(path, "snapshot.path")
        var options = SaveOptions(.folder(path, isReplacing: isReplacing ?? false))
        options.isStopping = isStopping ?? false
        options.isPausing = isPausing ?? false
        if let files {
            guard let passed, let opened = SnapshotFiles(passed, names: files) else {
                throw APIError(
                    """
                    snapshot.files: these are not the names of the files that came with the request, regular ones open for \
                    reading and writing, or for reading beneath base/.
                    """
                )
            }
            guard !options.isStopping else {
                throw APIError("snapshot.stop: the machine cannot end before its files are a snapshot: use pause.")
            }
            options.files = opened
        }
        options.disks = disks ?? .writable
        if let base { options.base = SnapshotPlace(folder: try absolutePath(base, "snapshot.diff_of")) }
        return options
    }
}

/// The body of `PUT /snapshot/create`: a machine is saved to two files.
struct SnapshotCreation: Codable {
    enum Kind: String, Codable, CaseIterable {
        case full = "Full"
        case diff = "Diff"
    }

    struct Extensions: Codable {
        var disks: SaveOptions.Disks?
    }

    var kind: Kind?
    var statePath: String
    var memoryPath: String
    var martlet: Extensions?

    enum CodingKeys: String, CodingKey {
        case kind = "snapshot_type"
        case statePath = "snapshot_path"
        case memoryPath = "mem_file_path"
        case martlet
    }

    func options(_ dialect: APIDialect) throws(APIError) -> SaveOptions {
        let place = try snapshotPlace(statePath, memoryPath, "snapshot.mem_file_path")
        var options = SaveOptions(.files(place))
        // A client of Firecracker's names no file of a disk again when it loads the snapshot: it puts them where they were.
        options.disks = martlet?.disks ?? (dialect == .firecracker ? .none : .all)
        options.isPauseRequired = true
        options.followsFirecracker = dialect == .firecracker
        return options
    }
}

/// The body of `PUT /snapshot/load`.
package struct SnapshotLoad: Codable {
    struct Memory: Codable {
        enum Backend: String, Codable, CaseIterable {
            case file = "File"
            case userfaultfd = "Uffd"
        }

        var kind: Backend
        var path: String

        enum CodingKeys: String, CodingKey {
            case kind = "backend_type"
            case path = "backend_path"
        }
    }

    struct NetworkOverride: Codable, Hashable {
        var id: String
        var hostName: String
        /// The kind of the host's side, as in the body of an interface.
        var martlet: NetworkInterface.Extensions?

        enum CodingKeys: String, CodingKey {
            case id = "iface_id"
            case hostName = "host_dev_name"
            case martlet
        }
    }

    struct VsockOverride: Codable {
        var path: String

        enum CodingKeys: String, CodingKey {
            case path = "uds_path"
        }
    }

    enum HugePages: String, Codable, CaseIterable {
        case snapshot = "Snapshot"
        case none = "None"
        case transparent = "Transparent"
        case explicit = "2M"
    }

    /// The file of a disk, in the place of the copy in the snapshot.
    struct DriveOverride: Codable {
        var id: String
        var path: String

        enum CodingKeys: String, CodingKey {
            case id = "drive_id"
            case path = "path_on_host"
        }
    }

    struct Extensions: Codable {
        var drives: [DriveOverride]?
        var keepsIdentity: Bool?

        enum CodingKeys: String, CodingKey {
            case drives = "drive_overrides"
            case keepsIdentity = "same_identity"
        }
    }

    var statePath: String
    var memory: Memory?
    var memoryPath: String?
    var tracksDirtyPages: Bool?
    var hasDifferences: Bool?
    var isResumed: Bool?
    var networkOverrides: [NetworkOverride]?
    var vsockOverride: VsockOverride?
    var followsHostClock: Bool?
    var hugePages: HugePages?
    var martlet: Extensions?

    enum CodingKeys: String, CodingKey {
        case statePath = "snapshot_path"
        case memory = "mem_backend"
        case memoryPath = "mem_file_path"
        case tracksDirtyPages = "track_dirty_pages"
        case hasDifferences = "enable_diff_snapshots"
        case isResumed = "resume_vm"
        case networkOverrides = "network_overrides"
        case vsockOverride = "vsock_override"
        case followsHostClock = "clock_realtime"
        case hugePages = "huge_pages"
        case martlet
    }

    /// The body that restores a snapshot which is a folder, and leaves the machine paused.
    package init(folder: FilePath, _ options: RestoreOptions) {
        let place = SnapshotPlace(folder: folder)
        statePath = place.state.hostText
        memory = Memory(kind: .file, path: place.memory.hostText)
        followsHostClock = options.followsHostClock
        networkOverrides = options.networks.map {
            NetworkOverride(id: $0.key, hostName: $0.value.hostDeviceName, martlet: $0.value.martlet)
        }.sorted { $0.id < $1.id }
        vsockOverride = options.vsockPath.map { VsockOverride(path: $0.hostText) }
        martlet = Extensions(
            drives: options.drives.map { DriveOverride(id: $0.key, path: $0.value.hostText) }.sorted { $0.id < $1.id },
            keepsIdentity: options.keepsIdentity
        )
    }

    /// The deprecated field of Firecracker's, if there is one.
    var deprecatedField: String? {
        memoryPath != nil ? "mem_file_path" : hasDifferences != nil ? "enable_diff_snapshots" : nil
    }

    func place() throws(APIError) -> SnapshotPlace {
        try inAPITerms { () throws(ConfigurationError) in
            try statePath.validateAsPath(at: "snapshot.snapshot_path")
        }
        switch (memory, memoryPath) {
        case (nil, nil): throw Self.wrong("missing field: either `mem_backend` or `mem_file_path` is required")
        case (.some, .some):
            throw Self.wrong("too many fields: either `mem_backend` or `mem_file_path` exclusively is required")
        case (let memory?, nil):
            guard memory.kind == .file else {
                throw .notOffered("userfaultfd back ends of memory (backend_type Uffd): give a File")
            }
            return try snapshotPlace(statePath, memory.path, "snapshot.mem_backend.backend_path")
        case (nil, let path?): return try snapshotPlace(statePath, path, "snapshot.mem_file_path")
        }
    }

    func options(_ dialect: APIDialect) throws(APIError) -> RestoreOptions {
        if hugePages == .explicit { throw .notOffered("hugetlbfs pages (huge_pages 2M)") }
        var options = RestoreOptions()
        options.hugePages = hugePages.flatMap { MachineSize.HugePages(rawValue: $0.rawValue) }
        options.usesSavedHostSides = true
        options.usesSavedDisks = dialect == .firecracker
        for network in networkOverrides ?? [] {
            var interface = NetworkInterface(network.id, hostDeviceName: network.hostName)
            interface.martlet = network.martlet
            try inAPITerms { () throws(ConfigurationError) in
                try interface.validate(at: "snapshot.network_overrides")
                try interface.validateAttachment(at: "snapshot.network_overrides")
            }
            options.networks[network.id] = interface
        }
        if let vsockOverride {
            try inAPITerms { () throws(ConfigurationError) in
                try vsockOverride.path.validateAsPath(at: "snapshot.vsock_override.uds_path")
            }
            options.vsockPath = FilePath(hostText: vsockOverride.path)
        }
        options.isPaused = !(isResumed ?? false)
        options.followsHostClock = followsHostClock ?? false
        options.keepsIdentity = martlet?.keepsIdentity ?? false
        for drive in martlet?.drives ?? [] {
            try inAPITerms { () throws(ConfigurationError) in
                try drive.path.validateAsPath(at: "snapshot.martlet.drive_overrides.path_on_host")
            }
            options.drives[drive.id] = FilePath(hostText: drive.path)
        }
        return options
    }

    private static func wrong(_ problem: String) -> APIError {
        APIError("An error occurred when deserializing the json body of a request: \(problem).")
    }
}

private func absolutePath(_ path: String, _ field: String) throws(APIError) -> FilePath {
    try inAPITerms { () throws(ConfigurationError) in try path.validateAsPath(at: field) }
    guard path.hasPrefix("/") else { throw APIError("\(field): must be an absolute path, not '\(path)'.") }
    return FilePath(hostText: path)
}

private func snapshotPlace(_ state: String, _ memory: String, _ field: String) throws(APIError) -> SnapshotPlace {
    try inAPITerms { () throws(ConfigurationError) in
        try state.validateAsPath(at: "snapshot.snapshot_path")
        try memory.validateAsPath(at: field)
    }
    return SnapshotPlace(state: FilePath(hostText: state), memory: FilePath(hostText: memory))
}
