// SPDX-License-Identifier: Apache-2.0

package import GuestAgent

/// The defaults of a container, as Docker has them.
package enum ContainerDefaults {
    package static let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The capabilities of a container's root, by their numbers in capabilities(7).
    private static let capabilities: [UInt64] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31]

    /// The capabilities of a program.
    ///
    /// - Parameter user: Whose program it is: others than root have none, and can get these by set-user-ID programs.
    /// - Returns: The sets.
    package static func capabilities(of user: UInt32) -> GuestProgram.Capabilities {
        var sets = GuestProgram.Capabilities()
        sets.bounding = capabilities.reduce(0) { $0 | 1 << $1 }
        if user == 0 { (sets.permitted, sets.effective) = (sets.bounding, sets.bounding) }
        return sets
    }

    package static var mounts: [GuestContainer.Mount] {
        // MS_* of mount(2).
        let (readOnly, noSetID, noDevices, noPrograms): (UInt64, UInt64, UInt64, UInt64) = (1, 2, 4, 8)
        let closed = noSetID | noDevices | noPrograms
        func mount(_ type: String, _ target: String, _ flags: UInt64, _ options: String = "") -> GuestContainer.Mount {
            .fileSystem(type: type, source: type, target: target, flags: flags, options: options)
        }
        return [
            mount("proc", "/proc", closed), mount("tmpfs", "/dev", noSetID, "mode=755,size=65536k"),
            mount("devpts", "/dev/pts", noSetID | noPrograms, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("tmpfs", "/dev/shm", closed, "mode=1777,size=65536k"), mount("mqueue", "/dev/mqueue", closed),
            mount("sysfs", "/sys", closed | readOnly),
        ]
    }

    /// The files that tell a container its name and its way to others.
    ///
    /// The program can change them, for itself.
    package static func files(hostName: String, resolver: [UInt8]) -> [GuestContainer.Mount] {
        let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t\(hostName)\n"
        return [
            .contents(Array(hosts.utf8), target: "/etc/hosts", isReadOnly: false),
            .contents(Array("\(hostName)\n".utf8), target: "/etc/hostname", isReadOnly: false),
            .contents(resolver, target: "/etc/resolv.conf", isReadOnly: false),
        ]
    }
}
