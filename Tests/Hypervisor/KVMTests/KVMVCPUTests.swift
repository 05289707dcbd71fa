// SPDX-License-Identifier: Apache-2.0

import CKVM
import Dispatch
import GuestMemory
import Host
import KVM
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct KVMVCPUTests {
    @Test func `a port write comes out with its port, width and data`() throws {
        // mov dx, 0x3f8; mov al, 'M'; out dx, al
        let guest = try TinyGuest(code: [0xba, 0xf8, 0x03, 0xb0, 0x4d, 0xee])
        let exit = try guest.vcpu.run()
        #expect(exit == .portWrite(port: 0x3f8, byteCount: 1, count: 1))
        #expect(guest.vcpu.withPortData(element: 0) { unsafe $0.bytes.unsafeLoad(as: UInt8.self) } == 0x4d)
    }

    @Test func `a port read takes the data that the host puts there`() throws {
        // in ax, 0x70; out 0x80, ax
        let guest = try TinyGuest(code: [0xe5, 0x70, 0xe7, 0x80])
        #expect(try guest.vcpu.run() == .portRead(port: 0x70, byteCount: 2, count: 1))
        guest.vcpu.withPortData(element: 0) { $0.storeBytes(of: 0xbeef, as: UInt16.self) }
        #expect(try guest.vcpu.run() == .portWrite(port: 0x80, byteCount: 2, count: 1))
        #expect(guest.vcpu.withPortData(element: 0) { unsafe $0.bytes.unsafeLoad(as: UInt16.self) } == 0xbeef)
    }

    @Test func `a string of port writes gives every element in order`() throws {
        // mov si, 0x1100; mov cx, 5; mov dx, 0x3f8; cld; rep outsb; out 0x80, al
        let guest = try TinyGuest(
            code: [0xbe, 0x00, 0x11, 0xb9, 0x05, 0x00, 0xba, 0xf8, 0x03, 0xfc, 0xf3, 0x6e, 0xe6, 0x80]
        )
        try guest.memory.write(Array("hello".utf8), at: 0x1100)
        var received: [UInt8] = []
        while case .portWrite(0x3f8, 1, let count) = try guest.vcpu.run() {
            for element in 0..<count {
                received.append(
                    guest.vcpu.withPortData(element: element) { unsafe $0.bytes.unsafeLoad(as: UInt8.self) }
                )
            }
        }
        #expect(received == Array("hello".utf8))
    }

    @Test func `an access beside memory is MMIO in both directions`() throws {
        // mov ax, 0x2000; mov ds, ax; mov al, [4]; mov [8], al: linear 0x20004 and 0x20008, beyond the 64 KiB
        let guest = try TinyGuest(code: [0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xa0, 0x04, 0x00, 0xa2, 0x08, 0x00])
        #expect(try guest.vcpu.run() == .mmioRead(address: 0x20004, byteCount: 1))
        guest.vcpu.withMMIOData { $0.storeBytes(of: 0x5a, as: UInt8.self) }
        #expect(try guest.vcpu.run() == .mmioWrite(address: 0x20008, byteCount: 1))
        #expect(guest.vcpu.withMMIOData { unsafe $0.bytes.unsafeLoad(as: UInt8.self) } == 0x5a)
    }

    @Test func `a write of the value that an event waits for is no exit, any other is`() throws {
        // mov ax, 0x2000; mov ds, ax; mov dword [0x50], 1; mov dword [0x50], 2; mov byte [0x50], 1
        let guest = try TinyGuest(
            code: [
                0xb8, 0x00, 0x20, 0x8e, 0xd8, 0x66, 0xc7, 0x06, 0x50, 0x00, 1, 0, 0, 0,
                0x66, 0xc7, 0x06, 0x50, 0x00, 2, 0, 0, 0, 0xc6, 0x06, 0x50, 0x00, 1,
            ]
        )
        let event = try EventFD()
        try guest.vm.connect(event, toWritesOf: 1, at: 0x20050)
        #expect(try guest.vcpu.run() == .mmioWrite(address: 0x20050, byteCount: 4))
        #expect(guest.vcpu.withMMIOData { unsafe $0.bytes.unsafeLoad(as: UInt32.self) } == 2)
        #expect(event.take() == 1)
        #expect(try guest.vcpu.run() == .mmioWrite(address: 0x20050, byteCount: 1))
        #expect(event.take() == 0)
    }

    @Test func `a guest without an interrupt table shuts down on an exception`() throws {
        // lidt [0x1100] (limit 0); mov eax, cr0; or al, 1; mov cr0, eax (protected mode); ud2
        let guest = try TinyGuest(
            code: [0x0f, 0x01, 0x1e, 0x00, 0x11, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x0f, 0x0b]
        )
        #expect(try guest.vcpu.run() == .shutdown)
    }

    @Test func `a kick ends the run of a guest that never exits, whenever it comes`() throws {
        let guest = try TinyGuest(code: [0xeb, 0xfe])
        let queue = DispatchQueue(label: "vcpu")
        // No rendezvous on purpose: the kick meets the run at its start, inside it, or comes before it.
        for _ in 0..<200 {
            let ended = DispatchSemaphore(value: 0)
            queue.async {
                guest.vcpu.withKicksEnabled {
                    #expect(throws: Never.self) { try #expect(guest.vcpu.run() == .interrupted) }
                }
                ended.signal()
            }
            guest.vcpu.kick()
            ended.wait()
        }
    }

    @Test func `registers come back as they were set`() throws {
        let guest = try TinyGuest(code: [0x90])
        var registers = try guest.vcpu.generalRegisters()
        registers.rax = 0x0123_4567_89ab_cdef
        registers.r15 = .max
        try guest.vcpu.setGeneralRegisters(registers)
        let copy = try guest.vcpu.generalRegisters()
        #expect(copy.rax == registers.rax && copy.r15 == registers.r15 && copy.rip == TinyGuest.entry)
    }

    @Test func `an MSR that does not exist is an answer, not an error`() throws {
        let guest = try TinyGuest(code: [0x90])
        #expect(try guest.vcpu.modelSpecificRegister(0xdead_beef) == nil)
        #expect(try !guest.vcpu.setModelSpecificRegister(0xdead_beef, to: 1))
        #expect(try guest.vcpu.setModelSpecificRegister(0x174, to: 0x10))
        #expect(try guest.vcpu.modelSpecificRegister(0x174) == 0x10)
    }
}
