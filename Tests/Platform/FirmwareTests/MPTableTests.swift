// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import GuestMemory
import Testing

/// The MP tables as a kernel reads them: by a parser that shares nothing with their writer.
private struct ParsedMPTable {
    var localAPIC: UInt32 = 0
    var processors: [(id: UInt8, flags: UInt8, signature: UInt32, features: UInt32)] = []
    var buses: [UInt8: String] = [:]
    var ioapics: [(id: UInt8, flags: UInt8, address: UInt32)] = []
    /// The pin by interrupt of the ISA bus.
    var pins: [UInt8: UInt8] = [:]
    var localInterrupts: [(type: UInt8, destination: UInt8, pin: UInt8)] = []

    /// Reads the tables by a floating pointer, as Linux's `mpparse.c` does.
    init(in memory: GuestMemory, pointerAt address: GuestAddress) throws {
        let pointer = try memory.read(byteCount: 16, at: address)
        try #require(pointer.prefix(4).elementsEqual("_MP_".utf8))
        try #require(pointer[8] == 1 && pointer[9] == 4 && pointer.checksum == 0)
        #expect(pointer[11...].allSatisfy { $0 == 0 })
        let tableAddress = GuestAddress(rawValue: UInt64(pointer.integer(UInt32.self, at: 4)))
        let byteCount = try memory.read(byteCount: 6, at: tableAddress).integer(UInt16.self, at: 4)
        let table = try memory.read(byteCount: Int(byteCount), at: tableAddress)
        try #require(table.prefix(4).elementsEqual("PCMP".utf8))
        try #require(table[6] == 4 && table.checksum == 0)
        #expect(table[8..<28].elementsEqual("MARTLET MARTLET VMM ".utf8))
        localAPIC = table.integer(at: 36)

        var rest = table[44...]
        var count = 0
        var lastType: UInt8 = 0
        while let type = rest.first {
            #expect(type >= lastType, "entries are sorted by type")
            lastType = type
            count += 1
            switch type {
            case 0:
                processors.append(
                    (rest.integer(at: 1), rest.integer(at: 3), rest.integer(at: 4), rest.integer(at: 8))
                )
            case 1:
                buses[rest.integer(at: 1)] = String(decoding: rest.dropFirst(2).prefix(6), as: UTF8.self)
            case 2:
                ioapics.append((rest.integer(at: 1), rest.integer(at: 3), rest.integer(at: 4)))
            case 3:
                let entry = Array(rest.prefix(8))
                try #require(entry[1] == 0 && entry[2] == 0 && entry[3] == 0 && entry[4] == 0)
                #expect(entry[6] == ioapics.first?.id)
                #expect(pins.updateValue(entry[7], forKey: entry[5]) == nil)
            case 4:
                localInterrupts.append((rest.integer(at: 1), rest.integer(at: 6), rest.integer(at: 7)))
            default:
                Issue.record("entry type \(type)")
            }
            rest = rest.dropFirst(type == 0 ? 20 : 8)
        }
        #expect(table.integer(UInt16.self, at: 34) == UInt16(count))
    }
}

@Suite struct MPTableTests {
    private let memory: GuestMemory

    init() throws {
        memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 0xa_0000)])
    }

    @Test(arguments: [X86Layout.mpFloatingPointer, X86Layout.mpTable])
    func `both floating pointers lead to the table`(address: GuestAddress) throws {
        try MPTable(.example(cpus: 2)).install(in: memory)
        let parsed = try ParsedMPTable(in: memory, pointerAt: address)
        #expect(parsed.localAPIC == 0xfee0_0000)
        #expect(parsed.processors.map(\.id) == [0, 1])
        #expect(parsed.processors.map(\.flags) == [3, 1])
        #expect(parsed.buses == [0: "ISA   "])
        #expect(parsed.ioapics.map(\.id) == [2])
        #expect(parsed.ioapics.map(\.flags) == [1])
        #expect(parsed.ioapics.map(\.address) == [0xfec0_0000])
        #expect(parsed.localInterrupts.map(\.type) == [3, 1])
        #expect(parsed.localInterrupts.map(\.destination) == [0, 0xff])
        #expect(parsed.localInterrupts.map(\.pin) == [0, 1])
    }

    @Test func `each device's interrupt reaches the pin of its number, and no other pin has an entry`() throws {
        try MPTable(.example(virtioDevices: X86Layout.deviceGSIs.count)).install(in: memory)
        let all = try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable).pins
        #expect(Set(all.keys) == Set([0, 1, 4, 8] + X86Layout.deviceGSIs.map(UInt8.init)))
        #expect(all.allSatisfy { $0.key == $0.value })

        try MPTable(.example(virtioDevices: 1)).install(in: memory)
        #expect(try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable).pins == [0: 0, 1: 1, 4: 4, 5: 5, 8: 8])
        try MPTable(.example(devices: [])).install(in: memory)
        #expect(try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable).pins == [0: 0])
    }

    @Test func `the timer reaches pin 2 when it is told to`() throws {
        try MPTable(.example(timerGSI: 2)).install(in: memory)
        let parsed = try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable)
        #expect(parsed.pins[0] == 2)
        #expect(!parsed.pins.values.contains(0))
    }

    @Test func `the boot processor's ExtINT goes to its own APIC id`() throws {
        try MPTable(FirmwareDescription(apicIDs: [3, 5])).install(in: memory)
        let parsed = try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable)
        #expect(parsed.localInterrupts.first?.destination == 3)
    }

    @Test func `ids are the topology's, and the processor the host's`() throws {
        let processor = FirmwareDescription.Processor(signature: 0x806f8, features: 0x1fab_fbff)
        try MPTable(FirmwareDescription(apicIDs: [0, 1, 4, 5], processor: processor)).install(in: memory)
        let parsed = try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable)
        #expect(parsed.processors.map(\.id) == [0, 1, 4, 5])
        #expect(parsed.processors.allSatisfy { $0.signature == 0x806f8 && $0.features == 0x1fab_fbff })
        #expect(parsed.ioapics.map(\.id) == [6])
    }

    @Test(arguments: [1, 32, 38] as [UInt32])
    func `the last kilobyte holds 38 processors and every device`(cpus: UInt32) throws {
        let table = try MPTable(.example(cpus: cpus, virtioDevices: X86Layout.deviceGSIs.count))
        #expect(table.floatingPointer.count + table.configurationTable.count <= 1024)
        try table.install(in: memory)
        #expect(try ParsedMPTable(in: memory, pointerAt: X86Layout.mpTable).processors.count == Int(cpus))
    }

    @Test func `a larger area holds every 8-bit id, and no other`() throws {
        try MPTable(.example(cpus: 300), at: 0x9_e000, capacity: 0x2000).install(in: memory)
        let parsed = try ParsedMPTable(in: memory, pointerAt: 0x9_e000)
        #expect(parsed.processors.map(\.id) == Array(0...254))
        #expect(parsed.ioapics.map(\.id) == [255])
    }

    @Test func `more processors than the area holds throw`() throws {
        #expect(throws: FirmwareError.tooLarge(table: "MP table", byteCount: 260 + 39 * 20, capacity: 1024)) {
            try MPTable(.example(cpus: 39, virtioDevices: X86Layout.deviceGSIs.count))
        }
    }

    @Test func `installing outside guest memory throws`() throws {
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 0x1000)])
        #expect(throws: FirmwareError.self) { try MPTable(.example()).install(in: memory) }
    }
}
