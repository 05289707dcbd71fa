// SPDX-License-Identifier: Apache-2.0

import Host
package import SystemPackage

extension AgentConnection {
    /// Copies a file or folder of the host into the guest.
    ///
    /// `target` is a folder that it goes into, or the name it gets there; `container` has that file system, where the guest has
    /// such a container.
    package func put(_ source: FilePath, at target: String, in container: String) throws(AgentError) {
        try open(in: container)
        let name = source.lexicallyNormalized().lastComponent.map { "\($0)" } ?? "root"
        try send(AgentMessage(.put, AgentMessage.bytes(target) + AgentMessage.bytes(name)))
        var budget = FileTransfer.Budget(byteCount: .max, entryCount: .max)
        try FileTransfer.send(source, within: &budget, following: .first) { message throws(AgentError) in
            try send(message)
        }
        try send(AgentMessage(.end))
        while let answer = try receive() {
            try Self.check(answer)
            if answer.kind == .done { return }
        }
        throw .hungUp
    }

    /// Copies a file or folder of the guest to the host.
    ///
    /// `target` is a folder that it goes into, or the name it gets there; `container` has the source, where the guest has such
    /// a container.
    package func get(_ source: String, to target: FilePath, in container: String) throws(AgentError) {
        try open(in: container)
        try send(AgentMessage(.get, AgentMessage.bytes(source)))
        let name = FilePath(hostText: source).lexicallyNormalized().lastComponent.map { "\($0)" } ?? "root"
        let receiver = try FileTransfer.Receiver(into: target, named: name)
        while let answer = try receive() {
            try Self.check(answer)
            if answer.kind == .end { return }
            try receiver.take(answer)
        }
        throw .hungUp
    }

    /// A process of the guest, as its kernel describes it.
    package struct ProcessEntry: Hashable, Sendable {
        package let id: Int
        package let parent: Int
        package let user: UInt32
        /// One letter, of proc(5).
        package let state: String
        /// The time on a processor, in hundredths of a second.
        package let ticks: Int
        /// The resident memory, in pages.
        package let residentPages: Int
        package let command: String
    }

    /// Lists the processes of the guest.
    package func processes(in container: String) throws(AgentError) -> [ProcessEntry] {
        try open(in: container)
        try send(AgentMessage(.processes))
        var entries: [ProcessEntry] = []
        var room = 16 << 20
        while let answer = try receive() {
            try Self.check(answer)
            if answer.kind == .end { return entries }
            room -= 64 + answer.payload.count
            guard answer.kind == .process, room > 0 else { throw .malformed("it sent an endless list of processes") }
            if let entry = ProcessEntry(answer.payload) { entries.append(entry) }
        }
        throw .hungUp
    }

    // MARK: - Pods

    /// Tells the guest its time and network, before any container is in it, and waits until it has both.
    package func setUp(_ interfaces: [GuestContainer.Interface]) throws(AgentError) {
        try send(AgentMessage(.hello, AgentMessage.bytes(AgentMessage.podVersion)))
        try send(GuestContainer.Time.now.message)
        for interface in interfaces {
            try interface.send { message throws(AgentError) in try send(message) }
        }
        try send(AgentMessage(.disks, AgentMessage.bytes(UInt32(0))))
        guard try hasAnswered() else { throw .hungUp }
    }

    /// Asks the guest to tell when it does not use some disks any more; `hasAnswered` takes the answer.
    package func awaitEndOfUse(of disks: [String], areEmpty: Bool) throws(AgentError) {
        try send(AgentMessage(.hello, AgentMessage.bytes(AgentMessage.podVersion)))
        var payload = AgentMessage.bytes(UInt32(areEmpty ? 1 : 0))
        for disk in disks { payload += try AgentMessage.bytes(disk) }
        try send(AgentMessage(.disks, payload))
    }

    /// Takes the answer to a request without a result.
    ///
    /// - Returns: False where the agent has gone without one.
    /// - Throws: `AgentError`: the agent's own where it has said why it did not do it.
    package func hasAnswered() throws(AgentError) -> Bool {
        while let answer = try receive() {
            try Self.check(answer)
            if answer.kind == .done { return true }
        }
        return false
    }

    private func open(in container: String) throws(AgentError) {
        try send(AgentMessage(.hello, AgentMessage.bytes(AgentMessage.version)))
        try send(GuestProgram.container(3, container))
    }
}

extension AgentConnection.ProcessEntry {
    init?(_ payload: [UInt8]) {
        var payload = AgentPayload(payload)
        user = payload.number(UInt32.self)
        let (stat, line) = (payload.string(), payload.string())
        // The name is in parentheses and may have any character in it.
        let scalars = stat.unicodeScalars
        guard let open = scalars.firstIndex(of: "("), let close = scalars.lastIndex(of: ")"), open < close,
            let id = Int(stat[..<open].filter { $0 != " " })
        else { return nil }
        let fields = stat[scalars.index(after: close)...].split(separator: " ")
        // Small enough to be counted on with.
        func number(_ index: Int) -> Int? { Int(fields[index]).flatMap { (0..<1 << 48).contains($0) ? $0 : nil } }
        guard fields.count > 21, let parent = number(1), let user = number(11), let system = number(12),
            let pages = number(21)
        else { return nil }
        (self.id, self.parent, state, ticks, residentPages) = (id, parent, String(fields[0]), user + system, pages)
        command = line.isEmpty ? "[\(stat[scalars.index(after: open)..<close])]" : line
    }
}
