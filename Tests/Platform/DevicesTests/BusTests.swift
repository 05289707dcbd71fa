// SPDX-License-Identifier: Apache-2.0

import Devices
import Synchronization
import TestSupport
import Testing

/// A device that gives its own offset as data and keeps what it is asked.
private final class ProbeDevice: BusDevice {
    struct Access: Hashable {
        var offset: UInt64
        var byteCount: Int
        var value: UInt64?
    }

    let tag: UInt8
    private let recorded = Mutex<[Access]>([])
    var accesses: [Access] { recorded.withLock { $0 } }

    init(tag: UInt8) { self.tag = tag }

    func read(at offset: UInt64, into data: inout MutableRawSpan) {
        let byteCount = data.byteCount
        recorded.withLock { $0.append(Access(offset: offset, byteCount: byteCount)) }
        for index in 0..<byteCount {
            let value = tag &+ UInt8(truncatingIfNeeded: offset) &+ UInt8(index)
            data.storeBytes(of: value, toByteOffset: index, as: UInt8.self)
        }
    }

    func write(at offset: UInt64, from data: RawSpan) {
        let access = Access(offset: offset, byteCount: data.byteCount, value: data.littleEndianValue)
        recorded.withLock { $0.append(access) }
    }
}

@Suite struct BusTests {
    private let log = RecordingLog()

    private func makeBus(_ builder: BusBuilder) -> Bus {
        builder.build(faults: GuestFaultLog(device: "port bus", logger: log.logger))
    }

    @Test func `an access reaches the device at its offset`() throws {
        let (low, high) = (ProbeDevice(tag: 0x10), ProbeDevice(tag: 0x80))
        var builder = BusBuilder.ports
        try builder.insert(high, at: BusRange(start: 0x3f8, byteCount: 8), named: "high")
        try builder.insert(low, at: BusRange(start: 0x60, byteCount: 1), named: "low")
        let bus = makeBus(builder)
        #expect(bus.read(UInt8.self, at: 0x3fb) == 0x83)
        #expect(bus.read(UInt16.self, at: 0x3fe) == 0x8786)
        bus.write(UInt8(7), at: 0x60)
        #expect(low.accesses == [.init(offset: 0, byteCount: 1, value: 7)])
        #expect(bus.unclaimedAccessCount == 0)
        #expect(bus.ranges.map(\.name) == ["low", "high"])
    }

    @Test(arguments: [0, 0x5f, 0x61, 0x3f7, 0x400, 0xffff] as [UInt64])
    func `an address without a device reads as all ones and takes writes`(address: UInt64) throws {
        let device = ProbeDevice(tag: 0)
        var builder = BusBuilder.ports
        try builder.insert(device, at: BusRange(start: 0x60, byteCount: 1), named: "one")
        try builder.insert(device, at: BusRange(start: 0x3f8, byteCount: 8), named: "eight")
        let bus = makeBus(builder)
        #expect(bus.read(UInt8.self, at: address) == 0xff)
        bus.write(UInt8(1), at: address)
        #expect(device.accesses.isEmpty)
        #expect(bus.unclaimedAccessCount == 2)
        #expect(log.messages.count == 2)
    }

    @Test func `an empty bus claims nothing`() {
        let bus = makeBus(.memory)
        #expect(bus.read(UInt64.self, at: 0xd000_0000) == .max)
        bus.write(UInt64(1), at: .max)
        #expect(bus.unclaimedAccessCount == 2)
    }

    @Test func `an access across the end of a window is split by byte`() throws {
        let device = ProbeDevice(tag: 0x20)
        var builder = BusBuilder.ports
        try builder.insert(device, at: BusRange(start: 0x70, byteCount: 2), named: "clock")
        let bus = makeBus(builder)
        #expect(bus.read(UInt32.self, at: 0x71) == 0xffff_ff21)
        bus.write(UInt16(0xaabb), at: 0x71)
        #expect(device.accesses == [.init(offset: 1, byteCount: 1), .init(offset: 1, byteCount: 1, value: 0xbb)])
        #expect(bus.unclaimedAccessCount == 4)
    }

    @Test func `an access that begins before a window is split by byte`() throws {
        let device = ProbeDevice(tag: 0x20)
        var builder = BusBuilder.ports
        try builder.insert(device, at: BusRange(start: 0x70, byteCount: 1), named: "clock")
        let bus = makeBus(builder)
        #expect(bus.read(UInt32.self, at: 0x6f) == 0xffff_20ff)
        bus.write(UInt32(0x4433_2211), at: 0x6d)
        #expect(device.accesses.last == .init(offset: 0, byteCount: 1, value: 0x44))
    }

    @Test func `an access across two neighbours reaches both`() throws {
        let (left, right) = (ProbeDevice(tag: 0x10), ProbeDevice(tag: 0x90))
        var builder = BusBuilder.ports
        try builder.insert(left, at: BusRange(start: 0x100, byteCount: 1), named: "left")
        try builder.insert(right, at: BusRange(start: 0x101, byteCount: 1), named: "right")
        #expect(makeBus(builder).read(UInt16.self, at: 0x100) == 0x9010)
    }

    @Test func `bytes beyond the last address are claimed by nobody`() throws {
        let (first, last) = (ProbeDevice(tag: 0x10), ProbeDevice(tag: 0x90))
        var builder = BusBuilder.memory
        try builder.insert(first, at: BusRange(start: 0, byteCount: 16), named: "first")
        try builder.insert(last, at: BusRange(start: .max, byteCount: 1), named: "last")
        let bus = makeBus(builder)
        #expect(bus.read(UInt32.self, at: .max) == 0xffff_ff90)
        bus.write(UInt64(0), at: .max)
        #expect(first.accesses.isEmpty)
    }

    @Test func `a window may cover the whole address space`() throws {
        let device = ProbeDevice(tag: 0)
        var builder = BusBuilder.ports
        try builder.insert(device, at: BusRange(start: 0, byteCount: 0x10000), named: "all")
        #expect(makeBus(builder).read(UInt8.self, at: 0xffff) == 0xff)
        #expect(device.accesses == [.init(offset: 0xffff, byteCount: 1)])
    }

    @Test func `an empty window is an error`() {
        var builder = BusBuilder.ports
        let range = BusRange(start: 0x60, byteCount: 0)
        #expect(throws: BusError.empty(device: "nothing", range)) {
            try builder.insert(ProbeDevice(tag: 0), at: range, named: "nothing")
        }
    }

    @Test(arguments: [(0xffff, 2), (0x10000, 1), (.max, 2), (1, .max)] as [(UInt64, UInt64)])
    func `a window beyond the address space is an error`(start: UInt64, byteCount: UInt64) {
        var builder = BusBuilder.ports
        let range = BusRange(start: start, byteCount: byteCount)
        #expect(throws: BusError.beyondAddressSpace(device: "far", range, last: 0xffff)) {
            try builder.insert(ProbeDevice(tag: 0), at: range, named: "far")
        }
    }

    @Test(arguments: [(0x3f8, 8), (0x3f0, 9), (0x3ff, 1), (0x3fa, 1), (0, 0x10000)] as [(UInt64, UInt64)])
    func `an overlap is an error that names both devices`(start: UInt64, byteCount: UInt64) throws {
        var builder = BusBuilder.ports
        let old = BusRange(start: 0x3f8, byteCount: 8)
        try builder.insert(ProbeDevice(tag: 0), at: old, named: "COM1")
        let new = BusRange(start: start, byteCount: byteCount)
        let error = #expect(throws: BusError.self) {
            try builder.insert(ProbeDevice(tag: 0), at: new, named: "modem")
        }
        #expect(error == .overlap(device: "modem", new, with: "COM1", old))
        #expect("\(error, default: "")".contains("COM1 already answers at 0x3f8-0x3ff"))
    }

    @Test func `every address of many windows finds its own`() throws {
        var random = SeededGenerator(seed: 1)
        var builder = BusBuilder.memory
        var windows: [(range: BusRange, device: ProbeDevice)] = []
        var address: UInt64 = 0x1000
        for tag in 0..<100 {
            address += UInt64.random(in: 0..<64, using: &random)
            let range = BusRange(start: address, byteCount: UInt64.random(in: 1..<64, using: &random))
            let device = ProbeDevice(tag: UInt8(tag))
            windows.append((range, device))
            address += range.byteCount
        }
        for window in windows.shuffled(using: &random) {
            try builder.insert(window.device, at: window.range, named: "device \(window.device.tag)")
        }
        let bus = makeBus(builder)
        for address in 0xff0..<address + 16 {
            let owner = windows.first { $0.range.start <= address && address - $0.range.start < $0.range.byteCount }
            let expected = owner.map { $0.device.tag &+ UInt8(truncatingIfNeeded: address - $0.range.start) } ?? 0xff
            #expect(bus.read(UInt8.self, at: address) == expected)
        }
    }
}
