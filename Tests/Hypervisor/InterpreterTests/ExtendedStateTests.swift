// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

/// The XSAVE family, on a CPU with AVX (component 2) and two components of unlike alignment (5 and 9).
@Suite struct ExtendedStateTests {
    private static let components = [
        ExtendedState.Component(index: 2, standardOffset: 576, byteCount: 256, isAligned: false),
        ExtendedState.Component(index: 5, standardOffset: 1088, byteCount: 8, isAligned: false),
        ExtendedState.Component(index: 9, standardOffset: 2688, byteCount: 8, isAligned: true),
    ]
    private static let all: UInt64 = 0b10_0010_0111
    private static let compacted: UInt64 = 1 << 63
    private static let pkruOffset = 2688

    private func cpu(inUse: UInt64 = all) -> FakeCPU {
        var area = (0..<2752).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
        for offset in 512..<576 { area[offset] = 0 }
        area.storeInteger(UInt32(0x1FA0), at: 24)
        area.storeInteger(UInt32(0xFFFF), at: 28)
        var state = ExtendedState(area: area, xcr0: Self.all, components: Self.components)
        state.inUse = inUse
        var cpu = FakeCPU()
        cpu.extended = state
        cpu.registers[.rdi] = cpu.memoryStart
        cpu.registers[.rax] = .max
        cpu.registers[.rdx] = .max
        for index in cpu.memory.indices { cpu.memory[index] = 0xEE }
        for index in 512..<576 { cpu.memory[index] = 0 }
        return cpu
    }

    private let xsave: [UInt8] = [0x48, 0x0F, 0xAE, 0x27]
    private let xsaveopt: [UInt8] = [0x48, 0x0F, 0xAE, 0x37]
    private let xsavec: [UInt8] = [0x48, 0x0F, 0xC7, 0x27]
    private let xsaves: [UInt8] = [0x48, 0x0F, 0xC7, 0x2F]
    private let xrstor: [UInt8] = [0x48, 0x0F, 0xAE, 0x2F]
    private let xrstors: [UInt8] = [0x48, 0x0F, 0xC7, 0x1F]

    @Test func `xsave writes every requested component in the standard format`() throws {
        var cpu = cpu()
        let area = try #require(cpu.extended).area
        #expect(cpu.complete(xsave) == .completed)
        #expect(cpu.memory[0..<416] == area[0..<416])
        #expect(cpu.memory[416..<512].allSatisfy { $0 == 0xEE })
        #expect(cpu.integer(at: cpu.memoryStart + 512) as UInt64 == Self.all)
        #expect(cpu.memory[576..<832] == area[576..<832])
        #expect(cpu.memory[1088..<1096] == area[1088..<1096])
        #expect(cpu.memory[2688..<2696] == area[2688..<2696])
        #expect(cpu.memory[832..<1088].allSatisfy { $0 == 0xEE })
        #expect(cpu.memory[2696...].allSatisfy { $0 == 0xEE })
    }

    @Test func `xsave leaves what was not requested, in the header too`() throws {
        var cpu = cpu()
        cpu.registers[.rax] = 0b010
        cpu.registers[.rdx] = 0
        cpu.set(UInt64(0b101), at: cpu.memoryStart + 512)
        let area = try #require(cpu.extended).area
        #expect(cpu.complete(xsave) == .completed)
        #expect(cpu.memory[0..<24].allSatisfy { $0 == 0xEE })
        #expect(cpu.memory[24..<32] == area[24..<32])
        #expect(cpu.memory[32..<160].allSatisfy { $0 == 0xEE })
        #expect(cpu.memory[160..<416] == area[160..<416])
        #expect(cpu.memory[576...].allSatisfy { $0 == 0xEE })
        #expect(cpu.integer(at: cpu.memoryStart + 512) as UInt64 == 0b111)
    }

    @Test func `xsaveopt leaves the memory of components that are not in use`() throws {
        var cpu = cpu(inUse: 0b001)
        let area = try #require(cpu.extended).area
        #expect(cpu.complete(xsaveopt) == .completed)
        #expect(cpu.memory[0..<160] == area[0..<160])
        #expect(cpu.memory[160..<416].allSatisfy { $0 == 0xEE })
        #expect(cpu.memory[576..<832].allSatisfy { $0 == 0xEE })
        #expect(cpu.integer(at: cpu.memoryStart + 512) as UInt64 == 0b001)
    }

    @Test func `xsavec packs the requested components and marks the format`() throws {
        var cpu = cpu()
        let area = try #require(cpu.extended).area
        #expect(cpu.complete(xsavec) == .completed)
        #expect(cpu.memory[576..<832] == area[576..<832])
        #expect(cpu.memory[832..<840] == area[1088..<1096])
        #expect(cpu.memory[840..<896].allSatisfy { $0 == 0xEE })
        #expect(cpu.memory[896..<904] == area[2688..<2696])
        #expect(cpu.memory[904...].allSatisfy { $0 == 0xEE })
        #expect(cpu.integer(at: cpu.memoryStart + 512) as UInt64 == Self.all)
        #expect(cpu.integer(at: cpu.memoryStart + 520) as UInt64 == Self.all | Self.compacted)
    }

    @Test func `a component that is not requested takes no room in the compacted format`() throws {
        var cpu = cpu()
        cpu.registers[.rax] = 1 << 9
        cpu.registers[.rdx] = 0
        let area = try #require(cpu.extended).area
        #expect(cpu.complete(xsavec) == .completed)
        #expect(cpu.memory[576..<584] == area[2688..<2696])
        #expect(cpu.integer(at: cpu.memoryStart + 520) as UInt64 == 0x200 | Self.compacted)
    }

    @Test func `xsaves adds supervisor components, and is for CPL 0`() throws {
        var cpu = cpu()
        cpu.extended?.xcr0 = 0b111
        cpu.extended?.xss = 1 << 9
        #expect(cpu.complete(xsavec) == .completed)
        #expect(cpu.integer(at: cpu.memoryStart + 520) as UInt64 == 0b111 | Self.compacted)
        #expect(cpu.complete(xsaves) == .completed)
        #expect(cpu.integer(at: cpu.memoryStart + 520) as UInt64 == 0x207 | Self.compacted)
        cpu.currentPrivilegeLevel = 3
        #expect(cpu.complete(xsaves) == .exception(.generalProtection))
        #expect(cpu.complete(xrstors) == .exception(.generalProtection))
    }

    @Test(arguments: [false, true], [all, 0b011, 0b101, 0b000, 0b10_0000_0010])
    func `what was saved is restored, in both formats`(isCompacted: Bool, inUse: UInt64) throws {
        var cpu = cpu(inUse: inUse)
        let saved = try #require(cpu.extended)
        #expect(cpu.complete(isCompacted ? xsavec : xsave) == .completed)
        for index in 0..<24 { cpu.extended?.area[index] = 0x11 }
        for index in 32..<416 { cpu.extended?.area[index] = 0x11 }
        for index in 576..<2752 { cpu.extended?.area[index] = 0x11 }
        cpu.extended?.inUse = Self.all
        #expect(cpu.complete(isCompacted ? xrstors : xrstor) == .completed)
        let restored = try #require(cpu.extended)
        #expect(restored.mxcsr == 0x1FA0)
        // MXCSR differs from its initial value: SSE must count as in use, or KVM would lose it.
        #expect(restored.inUse == inUse | 0b010)
        let sseIsSaved = inUse & 0b010 != 0 || isCompacted
        let expectedXMM = sseIsSaved ? Array(saved.area[160..<416]) : [UInt8](repeating: 0, count: 256)
        #expect(Array(restored.area[160..<416]) == expectedXMM)
        let x87: [UInt8] = inUse & 1 != 0 ? Array(saved.area[0..<24]) : [0x7F, 0x03] + [UInt8](repeating: 0, count: 22)
        #expect(Array(restored.area[0..<24]) == x87)
        for component in Self.components {
            let range = component.standardOffset..<component.standardOffset + component.byteCount
            let isSaved = inUse >> UInt64(component.index) & 1 != 0
            #expect(restored.area[range].allSatisfy { $0 == 0 } || isSaved)
            #expect(restored.area[range] == saved.area[range] || !isSaved)
        }
    }

    @Test func `xrstor leaves components that were not requested`() throws {
        var cpu = cpu()
        #expect(cpu.complete(xsave) == .completed)
        cpu.extended?.area[700] = 1
        cpu.extended?.area[Self.pkruOffset] = 2
        cpu.registers[.rax] = 0b100
        cpu.registers[.rdx] = 0
        #expect(cpu.complete(xrstor) == .completed)
        #expect(cpu.extended?.area[700] == UInt8(truncatingIfNeeded: 700 &* 7 &+ 3))
        #expect(cpu.extended?.area[Self.pkruOffset] == 2)
    }

    @Test(
        arguments: [
            (512, 0b1000, false),  // XSTATE_BV has a component that is not enabled
            (520, 1, false),  // XCOMP_BV is not zero in the standard format
            (528, 1, false),  // a reserved byte
            (520, 1 << 63 | 0b1000, false),  // XCOMP_BV has a component that is not enabled
            (520, 1 << 63, true),  // XSTATE_BV has a component that XCOMP_BV lacks
            (528, 1, true), (568, 1 << 56, true),  // reserved bytes
        ] as [(Int, UInt64, Bool)]
    )
    func `xrstor raises GP for a bad header`(offset: Int, value: UInt64, isCompacted: Bool) {
        var cpu = cpu()
        #expect(cpu.complete(isCompacted ? xsavec : xsave) == .completed)
        cpu.set(value, at: cpu.memoryStart + UInt64(offset))
        let before = cpu
        #expect(cpu.complete(xrstor) == .exception(.generalProtection))
        #expect(cpu == before)
    }

    @Test func `xrstor raises GP for MXCSR bits that do not exist`() {
        var cpu = cpu()
        #expect(cpu.complete(xsave) == .completed)
        cpu.set(UInt32(0x1_0000), at: cpu.memoryStart + 24)
        let before = cpu
        #expect(cpu.complete(xrstor) == .exception(.generalProtection))
        #expect(cpu == before)
    }

    @Test func `xrstors demands the compacted format`() {
        var cpu = cpu()
        #expect(cpu.complete(xsave) == .completed)
        #expect(cpu.complete(xrstors) == .exception(.generalProtection))
    }

    @Test func `the family demands alignment to 64, OSXSAVE and TS clear`() {
        for bytes in [xsave, xsaveopt, xsavec, xsaves, xrstor, xrstors] {
            var cpu = cpu()
            cpu.registers[.rdi] += 32
            #expect(cpu.complete(bytes) == .exception(.generalProtection))
            cpu.cr0.insert(.taskSwitched)
            #expect(cpu.complete(bytes) == .exception(.deviceNotAvailable))
            cpu.cr4.remove(.osXSAVE)
            #expect(cpu.complete(bytes) == .exception(.invalidOpcode))
            cpu.cr0.remove(.taskSwitched)
            cpu.cr4.insert(.osXSAVE)
            cpu.extended = nil
            #expect(cpu.complete(bytes) == .unsupported(.noExtendedState))
        }
    }

    @Test func `a save that faults is a write fault and changes nothing`() {
        var cpu = cpu()
        cpu.faults[cpu.memoryStart + 0x1000] = .notPresent
        cpu.registers[.rdi] = cpu.memoryStart + 0xE00
        let before = cpu
        let fault = CPUException(.pageFault, errorCode: 2, payload: cpu.memoryStart + 0x1000)
        #expect(cpu.complete(xsave) == .exception(fault))
        #expect(cpu == before)
    }

    @Test func `xgetbv reads XCR0 and the components in use`() {
        var cpu = cpu(inUse: 0b011)
        cpu.registers[.rcx] = 0
        #expect(cpu.complete([0x0F, 0x01, 0xD0]) == .completed)
        #expect(cpu.registers[.rax] == Self.all)
        #expect(cpu.registers[.rdx] == 0)
        cpu.registers[.rcx] = 1
        #expect(cpu.complete([0x0F, 0x01, 0xD0]) == .completed)
        #expect(cpu.registers[.rax] == 0b011)
        cpu.registers[.rcx] = 2
        #expect(cpu.complete([0x0F, 0x01, 0xD0]) == .exception(.generalProtection))
        cpu.cr4.remove(.osXSAVE)
        #expect(cpu.complete([0x0F, 0x01, 0xD0]) == .exception(.invalidOpcode))
    }
}
