// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Machine
package import MachineModel
package import SystemPackage

/// The disks of a pod's machine: two for each container that it has a place for.
///
/// They have no contents until a container brings its own, and again when that has ended.
package struct PodDisks: Sendable {
    /// The most places of a machine, however few network interfaces it has.
    private static let placeLimit = 8

    /// The number of containers that there are places for.
    package let placeCount: Int
    /// Files of memory without contents, two for each place, which stay open as long as this process.
    private let files: [CInt]

    /// - Parameter interfaceCount: The number of the machine's network interfaces, which take the places of disks.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(interfaceCount: Int) throws(Errno) {
        // The machine has a vsock and a source of entropy too.
        placeCount = min(Self.placeLimit, max(0, MachineConfiguration.deviceCapacity - 2 - interfaceCount) / 2)
        var files: [CInt] = []
        for _ in 0..<(2 * placeCount) {
            let file = unsafe chost_memory_file("disk")
            guard file >= 0 else { throw Errno(rawValue: -file) }
            files.append(file)
        }
        self.files = files
    }

    /// The disks of a machine without containers.
    package var drives: [Drive] {
        (0..<placeCount).flatMap { place in
            [
                Drive("base\(place)", path: emptyFile(2 * place).string, isReadOnly: true),
                Drive("scratch\(place)", path: emptyFile(2 * place + 1).string),
            ]
        }
    }

    /// The file of a disk that no container has.
    func emptyFile(_ disk: Int) -> FilePath { FilePath("/proc/self/fd/\(files[disk])") }

    /// The names that a guest has for the two disks of a place, the base first.
    static func guestNames(ofPlace place: Int) -> [String] {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        return [2 * place, 2 * place + 1].map { "/dev/vd\(letters[$0])" }
    }
}
