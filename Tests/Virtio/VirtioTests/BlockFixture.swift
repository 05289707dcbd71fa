// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import Host
import SystemPackage
import Storage
import TestSupport
import Virtio

/// A block device in front of a disk in memory, and its driver.
struct BlockFixture {
    enum Kind: UInt32 {
        case read = 0
        case write = 1
        case flush = 4
        case getID = 8
        case discard = 11
        case writeZeroes = 13
    }

    /// The status byte.
    enum Status: UInt8 {
        case ok = 0
        case ioError = 1
        case unsupported = 2
    }

    static let byteCount = 64 << 10

    let disk: MemoryDisk
    let device: BlockDevice
    let driver: FakeDriver

    init(
        features: VirtioFeatures? = nil,
        queueCount: Int = 1,
        queueSizes: [UInt16]? = nil,
        engineCapacity: Int = 256,
        limits: RateLimiter? = nil,
        diskByteCount: Int = Self.byteCount,
        change: (inout DiskProperties) -> Void = { _ in }
    ) throws {
        disk = try MemoryDisk(byteCount: diskByteCount)
        var properties = DiskProperties(byteCount: UInt64(diskByteCount))
        properties.canDiscard = true
        properties.identifier = "MARTLET-0"
        change(&properties)
        device = try BlockDevice(
            disk: properties,
            engine: disk.makeEngine(capacity: engineCapacity),
            queueCount: queueCount,
            limits: limits,
            hostFaults: GuestFaultLog(device: "disk")
        )
        driver = try FakeDriver(device, features: features, queueSizes: queueSizes)
    }

    /// The 16 bytes before every request.
    static func header(_ kind: UInt32, sector: UInt64) -> [UInt8] {
        little(kind) + little(UInt32(0)) + little(sector)
    }

    static func header(_ kind: Kind, sector: UInt64 = 0) -> [UInt8] {
        header(kind.rawValue, sector: sector)
    }

    /// One range of a discard or write-zeroes request.
    static func range(sector: UInt64, count: UInt32, flags: UInt32 = 0) -> [UInt8] {
        little(sector) + little(count) + little(flags)
    }

    static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
    }

    /// Sends a request and gives its status.
    func status(of readable: [[UInt8]], writable: [Int] = [1]) throws -> Status? {
        let reply = try driver.perform(readable: readable, writable: writable)
        return reply.bytes.last.flatMap(Status.init)
    }

    func write(_ bytes: [UInt8], sector: UInt64) throws -> Status? {
        try status(of: [Self.header(.write, sector: sector), bytes])
    }

    /// The result of a read, without the status.
    func read(_ byteCount: Int, sector: UInt64) throws -> (status: Status?, bytes: [UInt8], usedByteCount: UInt32) {
        let reply = try driver.perform(readable: [Self.header(.read, sector: sector)], writable: [byteCount, 1])
        return (reply.bytes.last.flatMap(Status.init), reply.bytes.dropLast(), reply.usedByteCount)
    }

    /// Calls the handlers of all events that have happened, as the device's thread would.
    func handleEvents() {
        for source in device.eventSources {
            var set = pollfd(fd: source.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&set, 1, 0) == 1 { source.handle() }
        }
    }

    /// Reads a field of the configuration.
    func configuration<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: UInt64) -> T {
        var value: T = 0
        unsafe withUnsafeMutableBytes(of: &value) { buffer in
            var span = unsafe MutableRawSpan(_unsafeBytes: buffer)
            device.readConfiguration(at: offset, into: &span)
        }
        return T(littleEndian: value)
    }

    func setWriteback(_ value: UInt8) {
        unsafe device.writeConfiguration(at: 32, from: [value].span.bytes)
    }
}
