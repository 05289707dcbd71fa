// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import Host
package import SystemPackage

/// A folder into which the layers of an image are written, and nothing outside of it.
///
/// Layers may be hostile: every path is resolved inside the folder, as in a chroot, and the last component is never followed.
package struct FileTree: TarSink {
    /// The most bytes that an image may have unpacked.
    package static let byteLimit: Int64 = 64 << 30
    /// The most bytes of a folder's path, with links resolved: its files are listed, copied and removed by whole paths.
    private static let pathLimit = 3 << 10

    private final class Handle {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    private let root: Handle
    /// Indicates whether owners, devices and attributes can be set: for root.
    private let isPrivileged: Bool
    /// The owners of files, where this user cannot give files away.
    package private(set) var owners: [String: (user: UInt32, group: UInt32)] = [:]
    /// The names of the current layer: whiteouts hide only files of lower layers.
    private var ofThisLayer: Set<[UInt8]> = []
    private var byteCount: Int64 = 0
    private let byteLimit: Int64
    private var file: Handle?
    private var path = ""
    /// Indicates whether whiteouts are looked at: in layers.
    private let hasLayers: Bool

    /// - Parameters:
    ///   - folder: An empty folder that nobody else can enter.
    ///   - hasLayers: Whether the input is layers, with whiteouts.
    ///   - byteLimit: The most bytes that may come.
    /// - Throws: `ImageError` where it cannot be opened.
    package init(_ folder: FilePath, hasLayers: Bool = true, byteLimit: Int64 = Self.byteLimit) throws(ImageError) {
        let raw = unsafe folder.withPlatformString { unsafe open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard raw >= 0 else { throw ImageError("cannot open \(folder): \(Errno(rawValue: errno))") }
        root = Handle(OwnedDescriptor(adopting: raw))
        (self.hasLayers, self.byteLimit) = (hasLayers, byteLimit)
        isPrivileged = geteuid() == 0
    }

    /// Starts the next layer.
    package mutating func startLayer() {
        ofThisLayer = []
    }

    // MARK: - Entries

    package mutating func begin(_ entry: TarEntry) throws(ImageError) {
        file = nil
        let components = Self.components(entry.path)
        path = components.joined(separator: "/")
        guard !components.contains("..") else { throw ImageError("a layer has the path '\(printable(entry.path))'") }
        guard let last = components.last else {
            // The root itself: its mode and owner count.
            return try set(entry, of: root.descriptor.borrowed, named: ".")
        }
        let parentPath = components.dropLast().joined(separator: "/")
        let parent = try folder(at: parentPath)
        if hasLayers, last.utf8.starts(with: ".wh.".utf8) {
            let hidden = String(decoding: last.utf8.dropFirst(4), as: UTF8.self)
            if hidden == ".wh..opq" { return try removeLower(in: parent.descriptor.borrowed, parentPath) }
            guard !["", ".", ".."].contains(hidden) else {
                throw ImageError("a layer hides '\(printable(entry.path))'")
            }
            if !ofThisLayer.contains(Array((parentPath.isEmpty ? hidden : parentPath + "/" + hidden).utf8)) {
                try removeAll(hidden, in: parent.descriptor.borrowed, depth: 0)
            }
            return
        }
        ofThisLayer.insert(Array(path.utf8))
        try make(entry, last, in: parent.descriptor.borrowed)
    }

    package mutating func append(_ bytes: ArraySlice<UInt8>) throws(ImageError) {
        byteCount += Int64(bytes.count)
        guard byteCount <= byteLimit else { throw ImageError("the image has more than \(byteLimit >> 30) GiB") }
        guard let file else { return }
        do throws(Errno) { try file.descriptor.borrowed.write(all: bytes) } catch {
            throw ImageError("cannot write '\(printable(path))': \(error)")
        }
    }

    package mutating func finish() throws(ImageError) {
        file = nil
    }

    private mutating func make(_ entry: TarEntry, _ name: String, in parent: FileDescriptor) throws(ImageError) {
        let native = FilePath(hostText: name)
        var status = stat()
        let isThere =
            unsafe native.withPlatformString { unsafe fstatat(parent.rawValue, $0, &status, AT_SYMLINK_NOFOLLOW) } == 0
        let isFolder = isThere && status.st_mode & S_IFMT == S_IFDIR
        if isThere, !(isFolder && entry.kind == .folder) { try removeAll(name, in: parent, depth: 0) }
        let result: CInt
        switch entry.kind {
        case .folder:
            result = isFolder ? 0 : unsafe native.withPlatformString { unsafe mkdirat(parent.rawValue, $0, 0o700) }
        case .file:
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
            result = unsafe native.withPlatformString { unsafe openat(parent.rawValue, $0, flags, 0o600) }
            if result >= 0 { file = Handle(OwnedDescriptor(adopting: result)) }
        case .symbolicLink(let target):
            result = unsafe FilePath(hostText: target).withPlatformString { target in
                unsafe native.withPlatformString { unsafe symlinkat(target, parent.rawValue, $0) }
            }
        case .hardLink(let target): return try link(to: target, native, in: parent)
        case .characterDevice(let major, let minor), .blockDevice(let major, let minor):
            // For others: the guest makes the devices that a container may have.
            guard isPrivileged else { return }
            let type = if case .characterDevice = entry.kind { S_IFCHR } else { S_IFBLK }
            let device = dev_t(major & 0xfff) << 8 | dev_t(minor & 0xff) | dev_t(minor & 0xfff00) << 12
            result = unsafe native.withPlatformString { unsafe mknodat(parent.rawValue, $0, type | 0o600, device) }
        case .pipe: result = unsafe native.withPlatformString { unsafe mkfifoat(parent.rawValue, $0, 0o600) }
        }
        guard result >= 0 else { throw failure("make") }
        try set(entry, of: parent, named: name)
    }

    private func link(to target: String, _ name: FilePath, in parent: FileDescriptor) throws(ImageError) {
        let components = Self.components(target)
        guard let last = components.last, !components.contains("..") else {
            throw ImageError("a layer has a link to '\(printable(target))'")
        }
        let folder = try folder(at: components.dropLast().joined(separator: "/"))
        let result = unsafe FilePath(hostText: last).withPlatformString { last in
            unsafe name.withPlatformString {
                unsafe linkat(folder.descriptor.rawValue, last, parent.rawValue, $0, 0)
            }
        }
        guard result == 0 else { throw failure("link") }
    }

    private mutating func set(_ entry: TarEntry, of parent: FileDescriptor, named name: String) throws(ImageError) {
        let native = FilePath(hostText: name)
        if isPrivileged {
            let result = unsafe native.withPlatformString {
                unsafe fchownat(parent.rawValue, $0, entry.user, entry.group, AT_SYMLINK_NOFOLLOW)
            }
            guard result == 0 else { throw failure("give away") }
        } else if entry.user != 0 || entry.group != 0 {
            owners[path] = (entry.user, entry.group)
        }
        if case .symbolicLink = entry.kind { return }
        guard unsafe native.withPlatformString({ unsafe fchmodat(parent.rawValue, $0, entry.mode, 0) }) == 0 else {
            throw failure("set the mode of")
        }
        // The others are the host's own business: overlayfs's, for one.
        for attribute in entry.attributes
        where attribute.name.hasPrefix("user.") || attribute.name == "security.capability" {
            let raw = unsafe native.withPlatformString {
                unsafe ccontainers_open_in_root(parent.rawValue, $0, ccontainers_path_only | O_NOFOLLOW)
            }
            guard raw >= 0 else { continue }
            let handle = OwnedDescriptor(adopting: raw)
            // A file system or user that cannot have them goes without, as with tar(1).
            _ = unsafe attribute.value.withUnsafeBytes { value in
                let empty: StaticString = ""
                return unsafe ccontainers_set_attribute(
                    handle.rawValue,
                    attribute.name,
                    value.baseAddress ?? UnsafeRawPointer(empty.utf8Start),
                    value.count
                )
            }
        }
    }

    // MARK: - Folders

    /// Opens a folder inside the root, and makes it where it is missing.
    private func folder(at path: String) throws(ImageError) -> Handle {
        if path.isEmpty { return root }
        let flags = O_RDONLY | O_DIRECTORY
        var raw = unsafe ccontainers_open_in_root(root.descriptor.rawValue, path.hostCString, flags)
        if raw == -ENOENT {
            let components = Self.components(path)
            let parent = try folder(at: components.dropLast().joined(separator: "/"))
            let name = FilePath(hostText: components.last ?? "")
            _ = unsafe name.withPlatformString { unsafe mkdirat(parent.descriptor.rawValue, $0, 0o755) }
            raw = unsafe ccontainers_open_in_root(root.descriptor.rawValue, path.hostCString, flags)
        }
        guard raw >= 0 else {
            throw ImageError("a layer's folder '\(printable(path))' cannot be opened: \(Errno(rawValue: -raw))")
        }
        let folder = Handle(OwnedDescriptor(adopting: raw))
        let place = try? FilePath("/proc/self/fd/\(raw)").linkTarget()
        guard let place, place.utf8.count <= Self.pathLimit else {
            throw ImageError("a layer's folder '\(printable(path))' is nested too deeply")
        }
        return folder
    }

    private static func components(_ path: String) -> [String] {
        path.pathComponents.filter { !["", "."].contains($0) }
    }

    /// Removes a folder's files of lower layers.
    private func removeLower(in folder: FileDescriptor, _ path: String) throws(ImageError) {
        for name in try names(in: folder) {
            let child = path.isEmpty ? name : path + "/" + name
            guard ofThisLayer.contains(Array(child.utf8)) else {
                try removeAll(name, in: folder, depth: 0)
                continue
            }
            guard let next = try? OwnedDescriptor(openingFolder: name, in: folder) else { continue }
            try removeLower(in: next.borrowed, child)
        }
    }

    private func removeAll(_ name: String, in folder: FileDescriptor, depth: Int) throws(ImageError) {
        let native = FilePath(hostText: name)
        if unsafe native.withPlatformString({ unsafe unlinkat(folder.rawValue, $0, 0) }) == 0 || errno == ENOENT {
            return
        }
        guard depth < 2048 else { throw ImageError("folders are nested too deeply") }
        let inner: OwnedDescriptor
        do throws(Errno) { inner = try OwnedDescriptor(openingFolder: name, in: folder) } catch {
            throw failure("remove", error)
        }
        for name in try names(in: inner.borrowed) { try removeAll(name, in: inner.borrowed, depth: depth + 1) }
        let result = unsafe native.withPlatformString { unsafe unlinkat(folder.rawValue, $0, AT_REMOVEDIR) }
        guard result == 0 else { throw failure("remove") }
    }

    private func names(in folder: FileDescriptor) throws(ImageError) -> [String] {
        do throws(Errno) { return try FolderListing.names(in: folder) } catch {
            throw ImageError("cannot read a folder of the image: \(error)")
        }
    }

    private func failure(_ operation: String, _ error: Errno = Errno(rawValue: errno)) -> ImageError {
        ImageError("cannot \(operation) '\(printable(path))' of the image: \(error)")
    }
}
