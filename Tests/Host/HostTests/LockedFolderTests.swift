// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

@Suite struct LockedFolderTests {
    private let folder: TemporaryFolder
    private let parent: FilePath

    init() throws {
        folder = try TemporaryFolder()
        parent = FilePath(folder.path)
    }

    private func abandoned() throws -> [String] {
        var names: [String] = []
        LockedFolder.forEachAbandoned(in: try OwnedDescriptor(openingFolder: parent), where: { $0.hasPrefix("kind-") })
        { name, _ in
            names.append(name)
        }
        return names
    }

    @Test func `a folder is abandoned when nobody has it locked, and no link, file or other user's folder is`() throws {
        #expect(unsafe mkdir("\(folder.path)/other", 0o700) == 0)
        #expect(unsafe symlink("\(folder.path)/other", "\(folder.path)/kind-link") == 0)
        try folder.write([], to: "kind-file")
        #expect(unsafe mkdir("\(folder.path)/kind-foreign", 0o700) == 0)
        // Only root can give a folder away.
        let isForeign = unsafe chown("\(folder.path)/kind-foreign", 4242, 4242) == 0
        // Whoever made it is gone.
        #expect(unsafe mkdir("\(folder.path)/kind-abc123", 0o700) == 0)
        let locked = try LockedFolder(prefix: parent.appending("kind-"))
        #expect(try abandoned().sorted() == ["kind-abc123"] + (isForeign ? [] : ["kind-foreign"]))
        withExtendedLifetime(locked) {}
    }

    @Test func `a draft goes with its owner, else with the next one of its kind`() throws {
        for name in ["kind-abc123", "kind-abc123/deep", "kind-longer-name", "kin-abc123"] {
            #expect(unsafe mkdir("\(folder.path)/\(name)", 0o700) == 0)
        }
        try folder.write([1], to: "kind-abc123/deep/file")
        do {
            let one = try DraftFolder(in: parent, prefix: "kind-")
            let other = try DraftFolder(in: parent, prefix: "kind-")
            let names = [one, other].compactMap { $0.path.lastComponent?.string } + ["kind-longer-name", "kin-abc123"]
            #expect(try folder.names().sorted() == names.sorted())
            try folder.write([1], to: "\(names[0])/file")
        }
        #expect(try folder.names().sorted() == ["kin-abc123", "kind-longer-name"])
    }
}
