// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import Host
import SystemPackage

/// The users and groups of an image, by its own /etc/passwd and /etc/group.
package struct UserDatabase: Hashable, Sendable {
    /// The user that a program runs as.
    package struct User: Hashable, Sendable {
        package var id: UInt32 = 0
        package var group: UInt32 = 0
        package var otherGroups: [UInt32] = []
        package var home = "/"

        package init(id: UInt32 = 0, group: UInt32 = 0, otherGroups: [UInt32] = [], home: String = "/") {
            (self.id, self.group, self.otherGroups, self.home) = (id, group, otherGroups, home)
        }
    }

    private let passwd: String
    private let group: String
    private static let limit = 1 << 20

    package init(passwd: String, group: String) {
        (self.passwd, self.group) = (passwd, group)
    }

    /// - Parameter root: A root file system, whose links stay inside of it.
    init(inRoot root: FilePath) {
        passwd = Self.contents(of: "etc/passwd", in: root)
        group = Self.contents(of: "etc/group", in: root)
    }

    init(savedIn folder: FilePath) {
        passwd = Self.contents(of: "passwd", in: folder)
        group = Self.contents(of: "group", in: folder)
    }

    func save(in folder: FilePath) throws(ImageError) {
        for (name, text) in [("passwd", passwd), ("group", group)] {
            do throws(Errno) { try FileContents.write(text.hostBytes, to: folder.appending(name)) } catch {
                throw ImageError("cannot write \(folder.appending(name)): \(error)")
            }
        }
    }

    private static func contents(of path: String, in root: FilePath) -> String {
        guard let folder = try? OwnedDescriptor(openingFolder: root) else { return "" }
        let raw = unsafe ccontainers_open_in_root(folder.rawValue, path.hostCString, O_RDONLY | O_NONBLOCK)
        guard raw >= 0 else { return "" }
        let file = OwnedDescriptor(adopting: raw)
        return (try? FileContents.bytes(of: file.borrowed, limit: limit)).map { String(hostBytes: $0) } ?? ""
    }

    /// Finds a user as images and `-u` name them: `name`, `id`, `name:group`, `id:id`.
    ///
    /// - Parameter text: The user; empty for root.
    /// - Returns: The user, with the groups that it belongs to unless one was named.
    /// - Throws: `ImageError` for a name that the image does not have.
    package func user(_ text: String) throws(ImageError) -> User {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let wanted = parts.first ?? ""
        var user = User()
        let lines = Self.lines(of: passwd)
        let line = lines.first { $0.count >= 6 && ($0[0] == wanted || $0[2] == (wanted.isEmpty ? "0" : wanted)) }
        if let line, let id = UInt32(line[2]), let group = UInt32(line[3]) {
            (user.id, user.group, user.home) = (id, group, line[5].isEmpty ? "/" : line[5])
            let name = line[0]
            user.otherGroups = Self.groups(in: self.group, of: name)
        } else if let id = UInt32(wanted.isEmpty ? "0" : wanted) {
            user.id = id
        } else {
            throw ImageError("the image has no user '\(printable(wanted))'")
        }
        guard parts.count > 1, !parts[1].isEmpty else { return user }
        user.otherGroups = []
        if let id = UInt32(parts[1])
            ?? Self.lines(of: group).first(where: { $0.count >= 3 && $0[0] == parts[1] }).flatMap({ UInt32($0[2]) })
        {
            user.group = id
            return user
        }
        throw ImageError("the image has no group '\(printable(parts[1]))'")
    }

    /// The fields of each line, which bytes divide: a carriage return before the line's end, or a combining mark behind a colon,
    /// would be one character with it.
    private static func lines(of text: String) -> [[String]] {
        text.utf8.split(separator: UInt8(ascii: "\n")).map { line in
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            return line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
                .map { String(Substring($0)) }
        }
    }

    private static func groups(in group: String, of member: String) -> [UInt32] {
        lines(of: group).compactMap { line in
            guard line.count >= 4, line[3].split(separator: ",").contains(Substring(member)) else { return nil }
            return UInt32(line[2])
        }
    }
}
