// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import MachineSession
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// The lending of a pod machine's disks, with a guest and a machine of the test's.
@Suite struct SessionPodTests {
    /// A pod whose machine runs.
    private final class Running {
        let folder: TemporaryFolder
        let guest: FakeGuest
        let pod: SessionPod
        let placeCount: Int
        /// The disks that got another file, and what that one held.
        let replaced = Log()
        let failures = Log()

        final class Log: Sendable {
            let entries = Mutex<[String]>([])
            func add(_ entry: String) { entries.withLock { $0.append(entry) } }
            var all: [String] { entries.withLock { $0 } }
        }

        init(answers: [AgentMessage] = [], interfaces: [GuestContainer.Interface] = []) throws {
            folder = try TemporaryFolder()
            guest = try FakeGuest(at: FilePath("\(folder.path)/vsock"), answers: answers)
            try folder.write(Array("base".utf8), to: "base")
            try folder.write(Array("scratch".utf8), to: "scratch")
            let disks = try PodDisks(interfaceCount: interfaces.count)
            placeCount = disks.placeCount
            let socket = FilePath("\(folder.path)/pod")
            pod = try SessionPod(PodSettings(socket: socket, disks: disks, interfaces: interfaces))
            let (replaced, failures) = (replaced, failures)
            try pod.makeThread {
            } replace: { disk, path in
                replaced.add("\(disk): \((try? FileContents.text(of: path, limit: 100)) ?? "unreadable")")
            } onFailure: {
                failures.add("\($0)")
            }
            pod.start(over: guest.path)
        }

        func end() {
            pod.join()
            guest.end()
            for name in ["pod", "vsock", "base", "scratch"] { unsafe unlink("\(folder.path)/\(name)") }
        }

        func place() throws -> PodPlace {
            let path = FilePath(folder.path)
            return try PodPlace(
                in: path.appending("pod"),
                base: path.appending("base"),
                scratch: path.appending("scratch")
            )
        }
    }

    private func text(_ message: AgentMessage) -> String {
        String(decoding: message.payload.dropFirst(4), as: UTF8.self)
    }

    @Test func `a guest gets its network first; then each container two disks, until all are taken`() throws {
        var interface = GuestContainer.Interface("eth0")
        interface.mtu = 1400
        let running = try Running(interfaces: [interface])
        defer { running.end() }
        var places = try (0..<running.placeCount).map { _ in try running.place() }
        #expect(running.placeCount == 7 && places.map(\.base).prefix(2) == ["/dev/vda", "/dev/vdc"])
        #expect(places.map(\.scratch).prefix(2) == ["/dev/vdb", "/dev/vdd"])
        #expect(running.replaced.all.prefix(3) == ["0: base", "1: scratch", "2: base"])
        #expect(running.guest.conversations.first?.map(\.kind) == [.clock, .interface, .disks])
        let refused = #expect(throws: PodPlace.Problem.self) { try running.place() }
        #expect(refused?.description.contains("places for 7 containers") == true)

        // At the end of one: unused, without contents, and free when the guest has seen that.
        places.remove(at: 1)
        let next = try running.place()
        #expect(next.base == "/dev/vdc")
        #expect(running.replaced.all.suffix(4) == ["2: ", "3: ", "2: base", "3: scratch"])
        let asked = running.guest.conversations.dropFirst().flatMap(\.self)
        #expect(
            asked.map { $0.payload.first } == [0, 1]
                && asked.map(text) == ["/dev/vdc\0/dev/vdd\0", "/dev/vdc\0/dev/vdd\0"]
        )
        withExtendedLifetime((places, next)) {}
    }

    @Test func `a place whose disks the guest does not let go is given to nobody else`() throws {
        let stillInUse = AgentMessage(.failed, [16, 0, 0, 0] + Array("still in use".utf8) + [0])
        let running = try Running(answers: [AgentMessage(.done), stillInUse])
        defer { running.end() }
        var first: PodPlace? = try running.place()
        #expect(first?.base == "/dev/vda")
        first = nil
        try Deadline.wait(for: "the guest to be asked") { running.guest.conversations.count == 2 }
        #expect(try running.place().base == "/dev/vdc")
        #expect(!running.replaced.all.contains("0: "))
    }

    @Test func `a pod that is to end does so after its containers`() throws {
        let running = try Running()
        defer { running.end() }
        running.pod.afterContainers { [failures = running.failures] in failures.add("empty") }
        #expect(running.failures.all == ["empty"])
        var places = [try running.place(), try running.place()]
        running.pod.afterContainers { [failures = running.failures] in failures.add("after them") }
        places.removeLast()
        try Deadline.wait(for: "the place to be free") { running.replaced.all.last == "3: " }
        #expect(running.failures.all == ["empty"])
        places.removeLast()
        try Deadline.wait(for: "the end") { running.failures.all.last == "after them" }
    }

    @Test func `who sends no disks gets no answer, and does not keep others from theirs`() throws {
        let running = try Running()
        defer { running.end() }
        let silent = try UnixSocket.connect(to: FilePath("\(running.folder.path)/pod"))
        let wrong = try UnixSocket.connect(to: FilePath("\(running.folder.path)/pod"))
        _ = try wrong.send([1, 2, 3][...])
        // The bytes that it sent lie unread, so the end may be an error.
        #expect(((try? wrong.descriptor.readSome(limit: 10)) ?? []).isEmpty)
        #expect(try running.place().base == "/dev/vda")
        withExtendedLifetime(silent) {}
    }

    @Test func `a guest that cannot set up its network is no pod's`() throws {
        let failed = AgentMessage(.failed, [19, 0, 0, 0] + Array("cannot set up the network".utf8) + [0])
        let running = try Running(answers: [failed])
        defer { running.end() }
        try Deadline.wait(for: "the failure") { !running.failures.all.isEmpty }
        #expect(running.failures.all.first?.hasPrefix("cannot set up the network") == true)
    }
}
