// SPDX-License-Identifier: Apache-2.0

import Devices
import Host
import Logging
package import MachineModel
import Metadata
import Network
import Storage
import Synchronization
import SystemPackage
package import Virtio

/// A network interface of a running machine: the host's side, and the device in front of it.
package final class Interface: Sendable {
    package let id: DeviceID
    let device: NetworkDevice
    /// The program that is the host's side, where it is one.
    private let passt: Passt?
    private let limits: Mutex<(receive: RateLimit?, send: RateLimit?)>

    /// Opens the host's side, and makes the device.
    ///
    /// - Parameters:
    ///   - configuration: Validated.
    ///   - id: Its name.
    ///   - metadata: The metadata service that the guest reaches by this interface, and its address.
    ///   - timers: The thread that collects a program of the host's side which ends before the machine.
    ///   - logger: The log of what goes wrong on the host.
    /// - Throws: `MachineError.network` where the host's side is not available.
    init(
        _ configuration: NetworkInterface,
        id: DeviceID,
        metadata: (address: IPv4Address, service: MetadataService)? = nil,
        timers: WorkThread,
        logger: Logger
    ) throws(MachineError) {
        self.id = id
        limits = Mutex((configuration.receiveRateLimit, configuration.sendRateLimit))
        let address = configuration.guestMAC.flatMap { MACAddress($0) } ?? .random()
        var connection: NetworkConnection
        do throws(NetworkError) {
            if let attachment = configuration.attachment {
                passt = nil
                connection = try attachment.open(queueCount: configuration.queueCount)
            } else {
                (passt, connection) = try Passt.start(UserNetwork(configuration), address: address)
            }
        } catch {
            throw .network(id, error)
        }
        do throws(Errno) {
            if let (address, service) = metadata {
                connection.backends = try connection.backends.map { backend throws(Errno) in
                    try MetadataBackend(backend, address: address, service: service)
                }
            }
            device = try NetworkDevice(
                connection,
                address: address,
                mtu: configuration.mtu.map { UInt16(clamping: $0) },
                receiveLimits: configuration.receiveRateLimit.map { RateLimiter($0) },
                sendLimits: configuration.sendRateLimit.map { RateLimiter($0) },
                log: GuestFaultLog(device: id.name, logger: logger),
                hostFaults: GuestFaultLog(device: "network \(id)", logger: logger, level: .warning),
                onProcessEnd: { [passt] in
                    // A device's thread makes no system call for processes.
                    if let passt { timers.run { passt.end() } }
                }
            )
        } catch {
            throw .descriptor(id.name, error)
        }
    }

    /// Ends the host's side; the guest does not run any more.
    func stop() { passt?.end() }

    /// The interface's counters so far.
    package var statistics: NetworkStatistics { device.statistics }

    /// Limits how fast the interface is from now on.
    package func setRateLimits(receive: RateLimit?, send: RateLimit?) {
        device.setLimits(receive: .some(receive.map { RateLimiter($0) }), send: .some(send.map { RateLimiter($0) }))
        limits.withLock { $0 = (receive, send) }
    }

    /// The limits of how fast the interface is, as they are now.
    var rateLimits: (receive: RateLimit?, send: RateLimit?) { limits.withLock { $0 } }
}

extension NetworkInterface {
    /// The place on the host that the interface is attached to; `nil` for a network of the machine's own.
    fileprivate var attachment: NetworkAttachment? {
        let socket = FilePath(hostText: path ?? "")
        return switch backend {
        case .user: nil
        case .tap: .tap(hostDeviceName)
        case .fd: .descriptors(descriptors.map { CInt(clamping: $0) })
        case .stream: .stream(socket)
        case .datagram: .datagrams(socket)
        }
    }
}
