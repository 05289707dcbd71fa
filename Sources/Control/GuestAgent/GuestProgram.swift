// SPDX-License-Identifier: Apache-2.0

package import Host

/// A program that is to run in a guest: OCI's `process`, and the place where it runs.
package struct GuestProgram: Hashable, Sendable {
    /// The root file system in which a program runs.
    package enum Place: Hashable, Sendable {
        /// Beside the guest's own programs.
        case guest
        /// In a container that is made for it and ends with it.
        case newContainer(GuestContainer)
        /// In the container of that name.
        case container(String)
        /// In the container of that name, or beside the guest's own programs where there is no such container.
        case containerIfThere(String)
    }

    package struct User: Hashable, Sendable {
        package var id: UInt32 = 0
        package var group: UInt32 = 0
        package var otherGroups: [UInt32] = []
        package var umask: UInt32?

        package init(id: UInt32 = 0, group: UInt32 = 0, otherGroups: [UInt32] = []) {
            (self.id, self.group, self.otherGroups) = (id, group, otherGroups)
        }
    }

    /// Sets of capabilities, bit n for capability n of capabilities(7).
    package struct Capabilities: Hashable, Sendable {
        package var bounding: UInt64 = 0
        package var permitted: UInt64 = 0
        package var effective: UInt64 = 0
        package var inheritable: UInt64 = 0
        package var ambient: UInt64 = 0

        package init() {}
    }

    /// A limit of setrlimit(2); `.max` for none.
    package struct Limit: Hashable, Sendable {
        package var resource: UInt32
        package var soft: UInt64
        package var hard: UInt64

        package init(resource: UInt32, soft: UInt64, hard: UInt64) {
            (self.resource, self.soft, self.hard) = (resource, soft, hard)
        }
    }

    package var arguments: [String]
    /// The environment, as `NAME=VALUE`.
    package var environment: [String] = []
    package var folder = ""
    package var user: User?
    package var capabilities: Capabilities?
    package var limits: [Limit] = []
    package var hasTerminal = false
    package var size: Terminal.Size?
    package var hasNoNewPrivileges = false
    /// The system calls that it may make; `nil` for all.
    package var filter: SystemCallFilter?
    /// Indicates whether the agent may send the message of the start in one packet with its next message.
    package var mayTellStartLate = false
    package var place = Place.guest

    package init(_ arguments: [String]) {
        self.arguments = arguments
    }

    /// The messages that start the program, greeting included.
    ///
    /// - Throws: `AgentError.unusable`, `.host` where files of a container cannot be read.
    package func send(to send: (AgentMessage) throws(AgentError) -> Void) throws(AgentError) {
        // A guest of before may have an agent that knows no more than it is asked for.
        var version = AgentMessage.version
        if case .newContainer(let container) = place { version = container.version }
        if filter != nil { version = AgentMessage.restrictionVersion }
        try send(AgentMessage(.hello, AgentMessage.bytes(version)))
        var options: UInt32 = hasTerminal ? 1 : 0
        if hasNoNewPrivileges { options |= 2 }
        if mayTellStartLate { options |= 8 }
        switch place {
        case .guest: break
        case .newContainer(let container):
            if container.isReadOnly { options |= 4 }
            try send(Self.container(1, container.name))
            try container.send(to: send)
        case .container(let name): try send(Self.container(2, name))
        case .containerIfThere(let name): try send(Self.container(3, name))
        }
        for argument in arguments { try send(AgentMessage(.argument, AgentMessage.bytes(argument))) }
        for variable in environment { try send(AgentMessage(.variable, AgentMessage.bytes(variable))) }
        if !folder.isEmpty { try send(AgentMessage(.folder, AgentMessage.bytes(folder))) }
        if let user {
            let numbers = [user.id, user.group, user.umask ?? .max] + user.otherGroups
            try send(AgentMessage(.user, numbers.flatMap { AgentMessage.bytes($0) }))
        }
        if let sets = capabilities {
            let numbers = [sets.bounding, sets.permitted, sets.effective, sets.inheritable, sets.ambient]
            try send(AgentMessage(.capabilities, numbers.flatMap { AgentMessage.bytes($0) }))
        }
        for limit in limits {
            let payload =
                AgentMessage.bytes(limit.resource) + AgentMessage.bytes(limit.soft) + AgentMessage.bytes(limit.hard)
            try send(AgentMessage(.limit, payload))
        }
        if let filter { try send(filter.message) }
        if let size { try send(AgentMessage(.size, size.payload)) }
        try send(AgentMessage(.options, AgentMessage.bytes(options)))
        try send(AgentMessage(.run))
    }

    static func container(_ how: UInt32, _ name: String) throws(AgentError) -> AgentMessage {
        AgentMessage(.container, AgentMessage.bytes(how) + (try AgentMessage.bytes(name)))
    }
}

extension Terminal.Size {
    var payload: [UInt8] { AgentMessage.bytes(rows) + AgentMessage.bytes(columns) }
}
