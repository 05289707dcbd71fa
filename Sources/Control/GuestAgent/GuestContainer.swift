// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// A container inside a guest: what its root file system is made of.
package struct GuestContainer: Hashable, Sendable {
    /// The name of a machine's only container.
    package static let onlyName = "container"

    /// Something that appears in the container's file system.
    package enum Mount: Hashable, Sendable {
        /// A file system, as mount(2) takes it; a device or folder of the guest as its source.
        case fileSystem(type: String, source: String, target: String, flags: UInt64, options: String)
        /// Copies of a file or folder of the host.
        case files(at: FilePath, target: String, isReadOnly: Bool)
        /// Copies that `StagedFiles` has made.
        case staged(at: FilePath, target: String, isReadOnly: Bool)
        /// A small file.
        case contents([UInt8], target: String, isReadOnly: Bool)
    }

    package var name = onlyName
    /// The guest's disk with the file system that all containers of the image share.
    package var base: String
    /// The guest's disk for the container's writes; empty for its memory.
    package var scratch = ""
    package var isReadOnly = false
    package var mounts: [Mount] = []
    /// Paths that the container finds empty, and those that it cannot change, where they are there.
    package var maskedPaths: [String] = []
    package var readonlyPaths: [String] = []
    /// Kernel parameters beneath /proc/sys.
    package var settings: [Setting] = []
    package var hostName = ""
    package var domainName = ""
    /// The guest's interfaces, which the container shares.
    package var interfaces: [Interface] = []
    /// The time that the guest's clock is set to; `nil` for the one it has.
    package var time: Time?

    /// The container's place among others of its guest, and its limits; `nil` for one that is alone there without limits.
    package var membership: Membership?

    /// The parts of a guest that a container of a pod shares with the others, and those that it does not get.
    package struct Membership: Hashable, Sendable {
        package var sharesProcesses = false
        package var sharesIPC = false
        /// The most memory in bytes; 0 for as much as the guest has, as below.
        package var memoryLimit: UInt64 = 0
        package var processLimit: UInt64 = 0
        /// The microseconds of a processor in each `cpuPeriod`.
        package var cpuQuota: UInt64 = 0
        package var cpuPeriod: UInt64 = 0

        package init() {}

        var message: AgentMessage {
            let shared: UInt32 = (sharesProcesses ? 1 : 0) | (sharesIPC ? 2 : 0)
            let limits = [memoryLimit, processLimit, cpuQuota, cpuPeriod]
            return AgentMessage(.pod, AgentMessage.bytes(shared) + limits.flatMap { AgentMessage.bytes($0) })
        }
    }

    /// A kernel parameter, such as `net.core.somaxconn`.
    package struct Setting: Hashable, Sendable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            (self.name, self.value) = (name, value)
        }
    }

    /// An interface of the guest.
    ///
    /// Addresses are in network order, as the bytes lie in memory.
    package struct Interface: Hashable, Sendable {
        /// Its name in the guest.
        package let name: String
        /// Six bytes; none for the address that the device has.
        package var hardwareAddress: [UInt8] = []
        /// The size of its largest packet; 0 for that of the device.
        package var mtu: UInt32 = 0
        package var address: UInt32 = 0
        package var mask: UInt32 = 0
        package var routes: [Route] = []

        package init(_ name: String) {
            self.name = name
        }

        func send(to send: (AgentMessage) throws(AgentError) -> Void) throws(AgentError) {
            let name = try AgentMessage.bytes(name)
            let hardware = hardwareAddress.count == 6 ? hardwareAddress : [0, 0, 0, 0, 0, 0]
            let numbers = [mtu, address, mask].flatMap { AgentMessage.bytes($0) }
            try send(AgentMessage(.interface, name + hardware + numbers))
            for route in routes {
                let numbers = [route.target, route.mask, route.router].flatMap { AgentMessage.bytes($0) }
                try send(AgentMessage(.route, name + numbers))
            }
        }
    }

    /// A route through an interface; without a router where that is 0.
    package struct Route: Hashable, Sendable {
        package let target: UInt32
        package let mask: UInt32
        package let router: UInt32

        package init(target: UInt32, mask: UInt32, router: UInt32) {
            (self.target, self.mask, self.router) = (target, mask, router)
        }
    }

    /// A time of day, since 1970.
    package struct Time: Hashable, Sendable {
        package var seconds: Int64
        package var nanoseconds: UInt32

        /// The host's time.
        package static var now: Time {
            var time = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &time)
            return Time(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
        }

        var message: AgentMessage {
            AgentMessage(.clock, AgentMessage.bytes(seconds) + AgentMessage.bytes(nanoseconds))
        }
    }

    package init(base: String) {
        self.base = base
    }

    /// The version of the messages that describe the container.
    var version: UInt32 {
        if !maskedPaths.isEmpty || !readonlyPaths.isEmpty { return AgentMessage.restrictionVersion }
        return membership == nil ? AgentMessage.version : AgentMessage.podVersion
    }

    func send(to send: (AgentMessage) throws(AgentError) -> Void) throws(AgentError) {
        if let time { try send(time.message) }
        if let membership { try send(membership.message) }
        try send(AgentMessage(.root, AgentMessage.bytes(base) + AgentMessage.bytes(scratch)))
        var budget = FileTransfer.Budget.ofContainer
        for mount in mounts {
            switch mount {
            case .fileSystem(let type, let source, let target, let flags, let options):
                var payload = AgentMessage.bytes(flags)
                for text in [source, target, type, options] { payload += try AgentMessage.bytes(text) }
                try send(AgentMessage(.mount, payload))
            case .files(let path, let target, let isReadOnly):
                try send(Self.stage(target, isReadOnly))
                try FileTransfer.send(path, within: &budget, following: .first, to: send)
            case .staged(let path, let target, let isReadOnly):
                try send(Self.stage(target, isReadOnly))
                try StagedFiles.send(path, to: send)
            case .contents(let bytes, let target, let isReadOnly):
                try send(Self.stage(target, isReadOnly))
                try send(FileTransfer.entry(mode: 0o100644, path: ""))
                for start in stride(from: 0, to: bytes.count, by: AgentMessage.payloadLimit) {
                    try send(AgentMessage(.data, Array(bytes[start...].prefix(AgentMessage.payloadLimit))))
                }
            }
        }
        for (kind, paths) in [(0, readonlyPaths), (1, maskedPaths)] as [(UInt32, [String])] {
            for path in paths { try send(AgentMessage(.path, AgentMessage.bytes(kind) + AgentMessage.bytes(path))) }
        }
        for setting in settings {
            try send(AgentMessage(.setting, AgentMessage.bytes(setting.name) + AgentMessage.bytes(setting.value)))
        }
        for interface in interfaces { try interface.send(to: send) }
        if !hostName.isEmpty || !domainName.isEmpty {
            try send(AgentMessage(.hostName, AgentMessage.bytes(hostName) + AgentMessage.bytes(domainName)))
        }
    }

    private static func stage(_ target: String, _ isReadOnly: Bool) throws(AgentError) -> AgentMessage {
        AgentMessage(.stage, AgentMessage.bytes(UInt32(isReadOnly ? 1 : 0)) + (try AgentMessage.bytes(target)))
    }
}
