// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import GuestAgent
import Host
import Synchronization
package import SystemPackage

/// A pod that a machine is there for.
package struct PodSettings: Sendable {
    /// The socket by which processes of containers ask for a place.
    package var socket: FilePath
    package var disks: PodDisks
    /// The guest's network.
    package var interfaces: [GuestContainer.Interface]

    package init(socket: FilePath, disks: PodDisks, interfaces: [GuestContainer.Interface]) {
        (self.socket, self.disks, self.interfaces) = (socket, disks, interfaces)
    }
}

/// The hand of a pod's machine on its disks, which it lends to the containers of the pod.
///
/// The process of a container connects to the pod's socket and sends a byte with two descriptors: its root file system, and the disk for
/// what it writes. The answer is two bytes: the number of a place, or `PodPlace.none`, and the number of all places. The connection is
/// the loan. When it closes, however the process ended, the guest is asked to let go of the disks; then they are without contents again,
/// and the place is free when the guest has seen that too. So no container ever finds another one's disk mounted still.
package final class SessionPod: Sendable {
    private enum Place {
        case free
        case lent(UnixSocket)
        /// The guest has yet to let go of the disks and, `areEmpty`, to see that they have no contents.
        case ending(AgentConnection, areEmpty: Bool)
        /// Its disks stay in use for good, as far as the guest says.
        case lost

        var isFree: Bool { if case .free = self { true } else { false } }
        var isEnding: Bool { if case .ending = self { true } else { false } }
        var descriptor: FileDescriptor? {
            switch self {
            case .free, .lost: nil
            case .lent(let loan): loan.descriptor
            case .ending(let connection, _): connection.socketDescriptor
            }
        }
    }

    /// Gives a disk of the machine another file.
    package typealias Replace = @Sendable (Int, FilePath) throws -> Void

    /// The most connections that have not asked yet.
    private static let askingLimit = 16
    /// The time that a running guest may take to answer.
    private static let patience = Duration.seconds(30)

    private let settings: PodSettings
    private let listener: UnixSocket
    private let thread: GuestThread
    /// The number of places that are lent, and what is to be done when there is none.
    private let lent = Mutex<(count: Int, body: (@Sendable () -> Void)?)>((0, nil))

    package init(_ settings: PodSettings) throws {
        self.settings = settings
        listener = try UnixSocket.listen(at: settings.socket)
        thread = try GuestThread()
    }

    /// Makes the thread that serves the pod, which waits for the machine's start.
    ///
    /// - Parameters:
    ///   - prepare: Called on the thread when the machine has started.
    ///   - replace: Gives a disk another file.
    ///   - onFailure: Called when the guest cannot be a pod's.
    /// - Throws: An error where the host has no thread left.
    package func makeThread(
        prepare: @escaping @Sendable () -> Void,
        replace: @escaping Replace,
        onFailure: @escaping @Sendable (AgentError) -> Void
    ) throws {
        try thread.make("pod") { [self] path in
            prepare()
            do throws(AgentError) {
                try thread.connect(over: path).setUp(settings.interfaces)
            } catch {
                if !thread.hasMachineEnded { onFailure(error) }
                return
            }
            serve(path, replace)
        }
    }

    package func start(over socket: FilePath) { thread.start(over: socket) }

    /// Waits for the thread, when the machine has ended.
    package func join() { thread.join() }

    /// Calls `body` when no container has a place any more: at once, or on the pod's thread.
    ///
    /// An engine that stops a pod may stop its sandbox beside the containers, which have their own time to end by themselves.
    package func afterContainers(_ body: @escaping @Sendable () -> Void) {
        let isEmpty = lent.withLock { lent in
            lent.body = body
            return lent.count == 0
        }
        if isEmpty { body() }
    }

    // MARK: - Its thread

    private func serve(_ path: FilePath, _ replace: Replace) {
        var places = [Place](repeating: .free, count: settings.disks.placeCount)
        var asking: [UnixSocket] = []
        while !thread.hasMachineEnded {
            // A request waits for a place that is about to be free.
            let mayAsk = places.contains(where: \.isFree) || !places.contains(where: \.isEnding)
            let fixed = [thread.endDescriptor, asking.count < Self.askingLimit ? listener.descriptor : nil]
            let entries = fixed + asking.map { mayAsk ? $0.descriptor : nil } + places.map(\.descriptor)
            let ready = Poll.wait(for: entries.map { ($0, .readable) })
            let (asked, changed) = (ready[2...].prefix(asking.count), ready.suffix(places.count))
            for (index, events) in zip(places.indices, changed) where !events.isEmpty {
                places[index] = next(places[index], index, path, replace)
            }
            var waiting: [UnixSocket] = []
            for (loan, events) in zip(asking, asked) {
                if events.isEmpty || !mayAsk { waiting.append(loan) } else { lend(to: loan, &places, replace) }
            }
            asking = waiting
            if !ready[1].isEmpty, let loan = try? listener.accept() { asking.append(loan) }
        }
    }

    /// Gives a container that asks a place, where there is one.
    private func lend(to loan: UnixSocket, _ places: inout [Place], _ replace: Replace) {
        var byte: [UInt8] = [0]
        // A connection that sends anything else gets no answer.
        guard let (count, files) = try? loan.receiveWithFiles(into: &byte), count > 0, let files,
            files.descriptors.count == 2
        else { return }
        let (base, scratch) = (files.descriptors[0], files.descriptors[1])
        defer { extendLifetime(files) }
        var number = PodPlace.none
        if let place = places.firstIndex(where: \.isFree) {
            do {
                try replace(2 * place, FilePath("/proc/self/fd/\(base.rawValue)"))
                try replace(2 * place + 1, FilePath("/proc/self/fd/\(scratch.rawValue)"))
                number = UInt8(place)
                places[place] = .lent(loan)
                lent.withLock { $0.count += 1 }
            } catch {
                Messages.write("a container's disks cannot be used: \(error)")
                try? empty(place, replace)
                return
            }
        }
        // A new connection has room for it.
        _ = try? loan.send([number, UInt8(places.count)][...])
    }

    /// The state of a place whose connection has something to say.
    private func next(_ place: Place, _ index: Int, _ path: FilePath, _ replace: Replace) -> Place {
        do {
            switch place {
            case .free, .lost: return place
            case .lent(let loan):
                // It says nothing but that it has ended.
                if let bytes = try? loan.descriptor.readSome(limit: 64), !bytes.isEmpty { return place }
                let last = lent.withLock { lent in
                    lent.count -= 1
                    return lent.count == 0 ? lent.body : nil
                }
                last?()
                return .ending(try release(index, areEmpty: false, path), areEmpty: false)
            case .ending(let connection, let areEmpty):
                guard try connection.hasAnswered() else { throw AgentError.hungUp }
                if areEmpty { return .free }
                try empty(index, replace)
                return .ending(try release(index, areEmpty: true, path), areEmpty: true)
            }
        } catch {
            if !thread.hasMachineEnded { Messages.write("place \(index) of the pod is lost: \(error)") }
            return .lost
        }
    }

    private func release(_ place: Int, areEmpty: Bool, _ path: FilePath) throws(AgentError) -> AgentConnection {
        let connection = try thread.connect(over: path, patience: Self.patience)
        try connection.awaitEndOfUse(of: PodDisks.guestNames(ofPlace: place), areEmpty: areEmpty)
        return connection
    }

    private func empty(_ place: Int, _ replace: Replace) throws {
        for disk in [2 * place, 2 * place + 1] { try replace(disk, settings.disks.emptyFile(disk)) }
    }
}
