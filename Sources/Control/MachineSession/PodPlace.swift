// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
package import SystemPackage

/// A container's place in the machine of its pod: two of the guest's disks, which are the container's as long as this lives.
package final class PodPlace {
    /// The byte in the place of a number that says that all places are taken.
    static let none: UInt8 = 255

    /// The reason why a container gets no place.
    package struct Problem: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    /// The guest's names of the container's disks.
    package let base: String
    package let scratch: String
    /// The machine takes the disks back when this closes.
    private let loan: UnixSocket

    /// Hands a container's disks to the machine of its pod, once the guest of that answers.
    ///
    /// - Parameters:
    ///   - socket: The pod's: see `SessionPod`.
    ///   - base: The root file system, for reading.
    ///   - scratch: The disk for the container's writes.
    ///   - patience: The time that the machine may take to be there.
    /// - Throws: `Problem`.
    package init(
        in socket: FilePath,
        base: FilePath,
        scratch: FilePath,
        patience: Duration = .seconds(120)
    ) throws(Problem) {
        loan = try Self.connect(to: socket, within: patience)
        let root = try Self.open(base, O_RDONLY)
        let written = try Self.open(scratch, O_RDWR)
        let isSent = (try? loan.send([0], with: [root.borrowed, written.borrowed])) != nil
        var answer: [UInt8] = []
        while isSent, answer.count < 2 {
            guard let some = try? loan.descriptor.readSome(limit: 2 - answer.count), !some.isEmpty else { break }
            answer += some
        }
        guard answer.count == 2 else {
            throw Problem(description: "the machine of the pod has ended, or its guest does not answer")
        }
        guard answer[0] != Self.none else {
            throw Problem(
                description: """
                    the machine of the pod has places for \(answer[1]) containers at a time, and all are taken: end one first
                    """
            )
        }
        guard answer[0] < 13 else { throw Problem(description: "the machine of the pod answered with nonsense") }
        let names = PodDisks.guestNames(ofPlace: Int(answer[0]))
        (self.base, self.scratch) = (names[0], names[1])
    }

    private static func connect(to socket: FilePath, within patience: Duration) throws(Problem) -> UnixSocket {
        let limit = TimeLimit.after(patience)
        while true {
            do throws(UnixSocketError) { return try UnixSocket.connect(to: socket) } catch {
                // A pod's machine may be on its way still.
                guard case .nobodyListens = error, !limit.hasPassed else {
                    throw Problem(description: "the machine of the pod cannot be reached: \(error)")
                }
            }
            usleep(50_000)
        }
    }

    private static func open(_ path: FilePath, _ mode: CInt) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try OwnedDescriptor(opening: path, mode) } catch {
            throw Problem(description: "cannot open the container's disk \(path): \(error)")
        }
    }
}
