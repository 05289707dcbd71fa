// SPDX-License-Identifier: Apache-2.0

import CNetwork
import Glibc
import Host
import SystemPackage

/// A TAP or macvtap interface of the host, with all queues that were opened of it.
enum NetworkInterface {
    /// The number of attempts at an interface that is in use: the kernel is late to free one that a process has just left.
    private static let attempts = 20
    private static let pauseMicroseconds: UInt32 = 50_000

    /// Opens a TAP that exists; it is never made.
    static func open(_ name: String, queueCount: Int) throws(NetworkError) -> NetworkConnection {
        guard 1...15 ~= name.utf8.count, !name.utf8.contains(UInt8(ascii: "/")), !name.contains(where: \.isWhitespace)
        else { throw .badInterfaceName(name) }
        let index = unsafe cnetwork_interface_index(name)
        guard index > 0 else { throw .noInterface(name) }
        var backends: [TAPBackend] = []
        // The kernel wants every queue of an interface opened in the same way.
        var hasQueues = queueCount > 1
        for _ in 0..<queueCount {
            let tap = try openQueue(of: name, &hasQueues, mayChangeMode: queueCount == 1)
            // The kernel makes an interface that has been deleted since the index was looked up.
            guard unsafe cnetwork_interface_index(name) == index else { throw .interfaceDeleted(name) }
            backends.append(TAPBackend(adopting: tap, name: name))
        }
        return try connection(backends, name: name, index: index)
    }

    /// Takes over descriptors of one interface, one for each queue.
    static func adopt(_ descriptors: [CInt]) throws(NetworkError) -> NetworkConnection {
        var backends: [TAPBackend] = []
        var (name, index) = ("", CInt(0))
        for number in descriptors {
            let tap = try NetworkAttachment.duplicate(number)
            let interface = try interface(of: tap, number: number)
            if backends.isEmpty {
                name = interface
                index = cnetwork_tap_index(tap.rawValue)
            }
            guard interface == name else {
                throw .unusableDescriptor(number, "it belongs to \(interface), the first one to \(name)")
            }
            try prepare(tap, name)
            backends.append(TAPBackend(adopting: tap, name: name))
        }
        return try connection(backends, name: name, index: index)
    }

    private static func interface(
        of descriptor: borrowing OwnedDescriptor,
        number: CInt
    ) throws(NetworkError) -> String {
        var name = [CChar](repeating: 0, count: Int(IFNAMSIZ))
        var flags: CUnsignedInt = 0
        let result = unsafe cnetwork_tap_interface(descriptor.rawValue, &name, &flags)
        guard result == 0 else {
            throw .unusableDescriptor(number, "TUNGETIFF: \(Errno(rawValue: -result))")
        }
        guard CInt(bitPattern: flags) & IFF_TAP != 0 else {
            throw .unusableDescriptor(number, "its interface carries IP packets (tun), not Ethernet (tap)")
        }
        // Chosen once, when the descriptor was opened (TUNSETIFF).
        guard CInt(bitPattern: flags) & IFF_VNET_HDR != 0 else {
            throw .unusableDescriptor(number, "it was opened without IFF_VNET_HDR")
        }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    static func openDevice() throws(NetworkError) -> OwnedDescriptor {
        let raw = unsafe Glibc.open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard raw >= 0 else { throw .noTAPDevice(Errno(rawValue: errno)) }
        return OwnedDescriptor(adopting: raw)
    }

    /// Opens the queue of an interface that has one, and closes it.
    static func probe(_ name: String) throws(Errno) {
        guard unsafe cnetwork_interface_index(name) > 0 else { throw .operationNotSupportedByDevice }
        let tap = try OwnedDescriptor(opening: "/dev/net/tun", O_RDWR | O_NONBLOCK)
        let result = attach(tap, to: name, hasQueues: false)
        guard result == 0 else { throw Errno(rawValue: -result) }
    }

    private static func attach(_ tap: borrowing OwnedDescriptor, to name: String, hasQueues: Bool) -> CInt {
        var result = unsafe cnetwork_tap_attach(tap.rawValue, name, hasQueues)
        for _ in 0..<attempts where result == -EBUSY {
            usleep(pauseMicroseconds)
            result = unsafe cnetwork_tap_attach(tap.rawValue, name, hasQueues)
        }
        return result
    }

    private static func openQueue(
        of name: String,
        _ hasQueues: inout Bool,
        mayChangeMode: Bool
    ) throws(NetworkError) -> OwnedDescriptor {
        let tap = try openDevice()
        var result = attach(tap, to: name, hasQueues: hasQueues)
        if result == -EINVAL, mayChangeMode {
            hasQueues.toggle()
            result = attach(tap, to: name, hasQueues: hasQueues)
        }
        switch -result {
        case 0: break
        case EBUSY: throw .interfaceInUse(name)
        case EPERM, EACCES: throw .notPermitted(name)
        case EINVAL: throw hasQueues && !mayChangeMode ? .oneQueue(name) : .notATAP(name)
        case let error: throw .failed("network interface \(name)", operation: "TUNSETIFF", Errno(rawValue: error))
        }
        try prepare(tap, name)
        return tap
    }

    private static func prepare(_ tap: borrowing OwnedDescriptor, _ name: String) throws(NetworkError) {
        let result = cnetwork_tap_set_header(tap.rawValue, CInt(NetworkFrame.headerByteCount))
        guard result >= 0 else {
            throw .failed("network interface \(name)", operation: "TUNSETVNETHDRSZ", Errno(rawValue: -result))
        }
    }

    private static func connection(
        _ backends: [TAPBackend],
        name: String,
        index: CInt
    ) throws(NetworkError) -> NetworkConnection {
        guard let first = backends.first else { throw .unusableDescriptor(-1, "there is none") }
        // Of the newer ones an older kernel knows nothing.
        let sets: [NetworkOffloads] = [.all, .all.subtracting([.udp4, .udp6]), [.checksum, .tcp4, .tcp6]]
        let offloads = sets.first { (try? first.setOffloads($0)) != nil } ?? []
        try first.setOffloads([])
        let link: LinkWatch? = index > 0 ? try LinkWatch(index: index, name: name) : nil
        return NetworkConnection(backends: backends, mtu: link?.mtu, offloads: offloads, link: link)
    }
}
