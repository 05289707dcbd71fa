// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import Host
package import SystemPackage

/// The identity of a folder that an engine has mounted by overlayfs: its lower folders, which nobody changes while they are used, and
/// all files of its upper one, which are few.
///
/// The lower folder that docker makes for each container has few files too, and is known by them.
///
/// Two folders with the same identity have the same files, so that the tree need not be looked at.
package struct OverlayIdentity: Hashable, Sendable {
    /// A SHA-256 of the identity.
    package let digest: String

    private static let mountsLimit = 16 << 20

    /// Examines a folder's mount; `nil` where it is not an overlay, or its folders are not visible from here.
    package init?(of folder: FilePath) {
        guard let path = try? folder.withoutLinks().hostText.hostBytes,
            let table = try? FileContents.bytes(of: "/proc/self/mountinfo", limit: Self.mountsLimit)
        else { return nil }
        self.init(mountedAt: path, in: table)
    }

    /// - Parameters:
    ///   - path: The folder, without links.
    ///   - table: What `/proc/self/mountinfo` says.
    package init?(mountedAt path: [UInt8], in table: [UInt8]) {
        // Of mounts on one another the last one shows.
        let lines = table.split(separator: UInt8(ascii: "\n"))
        guard let line = lines.last(where: { Self.fields($0).dropFirst(4).first.map(Self.unescaped) == path }) else {
            return nil
        }
        let fields = Self.fields(line)
        guard let dash = fields.firstIndex(of: [UInt8(ascii: "-")]), dash + 3 < fields.count,
            fields[dash + 1].elementsEqual("overlay".utf8), fields[3].elementsEqual("/".utf8)
        else { return nil }
        var (lower, upper): ([[UInt8]], [UInt8]?) = ([], nil)
        for option in fields[dash + 3].split(separator: UInt8(ascii: ",")) {
            guard let equals = option.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let value = Self.unescaped(option[(equals + 1)...])
            switch String(decoding: option[..<equals], as: UTF8.self) {
            case "lowerdir": lower += Self.split(value, at: UInt8(ascii: ":"))
            case "lowerdir+": lower.append(value)
            // Layers of data alone, and other kinds to come.
            case let name where name.hasPrefix("datadir"): return nil
            case "upperdir": upper = value
            default: break
            }
        }
        guard !lower.isEmpty else { return nil }
        var hash = SHA256()
        for folder in lower.map(Self.withoutBackslashes) {
            // A relative path depends on the process that mounted it.
            guard folder.first == UInt8(ascii: "/"), let facts = Self.facts(folder) else { return nil }
            if let files = Self.files(folder, limit: Self.smallLayer) {
                hash.add(Array(files.utf8) + [0])
            } else {
                hash.add(folder + [0] + Array(facts.utf8) + [0])
            }
        }
        if let upper {
            let folder = Self.withoutBackslashes(upper)
            guard folder.first == UInt8(ascii: "/"), let files = Self.files(folder) else { return nil }
            hash.add(Array(files.utf8))
        }
        digest = hash.finish()
    }

    /// The number of files up to which a lower folder is known by them.
    private static let smallLayer = 32

    /// A digest of a layer's files; `nil` where they are more than `limit`, or hide or redirect lower files.
    private static func files(_ folder: [UInt8], limit: Int = .max) -> String? {
        var isPlain = true
        let listing = try? TreeListing(of: FilePath(hostText: String(hostBytes: folder)), entryLimit: limit) { file in
            if unsafe file.withPlatformString({ unsafe ccontainers_has_overlay_mark($0) }) != 0 { isPlain = false }
        }
        return isPlain ? listing?.digest : nil
    }

    /// Device, number and time of the last change of a folder.
    private static func facts(_ folder: [UInt8]) -> String? {
        let path = FilePath(hostText: String(hostBytes: folder))
        guard let status = try? path.stat(), status.type == .directory else { return nil }
        return "\(status.deviceID.rawValue) \(status.inode.rawValue) \(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
    }

    // MARK: - Text

    private static func fields(_ line: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        line.split(separator: UInt8(ascii: " "))
    }

    /// Replaces the kernel's `\ooo` for spaces, commas and their like.
    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var (result, rest) = ([UInt8](), text)
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            else {
                result.append(byte)
                continue
            }
            result.append(value)
            rest = rest.dropFirst(3)
        }
        return result
    }

    /// Splits at a separator that has no backslash before it.
    private static func split(_ text: [UInt8], at separator: UInt8) -> [[UInt8]] {
        var (parts, isEscaped): ([[UInt8]], Bool) = ([[]], false)
        for byte in text {
            if byte == separator, !isEscaped {
                parts.append([])
            } else {
                parts[parts.count - 1].append(byte)
            }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
        }
        return parts.filter { !$0.isEmpty }
    }

    private static func withoutBackslashes(_ text: [UInt8]) -> [UInt8] {
        var (result, isEscaped): ([UInt8], Bool) = ([], false)
        for byte in text {
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
            if !isEscaped { result.append(byte) }
        }
        return result
    }
}
