// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Platform
import Testing

@Suite struct IdentityPageTests {
    private let memory: GuestMemory
    private let page: IdentityPage

    init() throws {
        memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 1 << 20)])
        try memory.write(IdentityPage.initialBytes, at: X86Layout.identityPage)
        page = IdentityPage(in: memory)
    }

    private func bytes(_ range: Range<Int>) throws -> [UInt8] {
        Array(try memory.read(byteCount: IdentityPage.byteCount, at: X86Layout.identityPage)[range])
    }

    @Test func `an answer changes the answer and nothing else`() throws {
        let before = try bytes(0..<128)
        try page.answer()
        #expect(try bytes(8..<12) == [1, 0, 0, 0])
        #expect(try bytes(0..<8) == Array(before[0..<8]))
        #expect(try bytes(12..<128) == Array(before[12..<128]))
    }

    @Test func `a guest that boots is told that a save is expected, by one number and nothing else`() throws {
        let before = try bytes(0..<128)
        try page.expectSave()
        #expect(try bytes(0..<128) == before)
        #expect(try bytes(128..<136) == [1, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func `another identity has a number, the time, a name and random numbers, which are forgotten later`() throws
    {
        let entropy = [UInt8](1...32)
        try page.renew(entropy: entropy, time: (0x0102_0304_0506, 7), name: "web")
        #expect(try bytes(0..<8) == Array("mrtl-id1".utf8))
        #expect(try bytes(8..<16) == [1, 0, 0, 0, 1, 0, 0, 0])
        #expect(try bytes(16..<24) == [6, 5, 4, 3, 2, 1, 0, 0])
        #expect(try bytes(24..<32) == [7, 0, 0, 0, 3, 0, 0, 0])
        #expect(try bytes(32..<64) == entropy)
        #expect(try bytes(64..<68) == Array("web\0".utf8))
        try page.forgetEntropy()
        #expect(try bytes(32..<64) == [UInt8](repeating: 0, count: 32))
        try page.renew(entropy: entropy, time: nil, name: String(repeating: "n", count: 100))
        #expect(try bytes(12..<16) == [2, 0, 0, 0])
        #expect(try bytes(16..<32) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0])
    }

    @Test func `a page that the guest has overwritten is as good as any`() throws {
        try memory.fill(0xff, byteCount: 128, at: X86Layout.identityPage)
        try page.answer()
        try page.renew(entropy: [], time: nil, name: "")
        #expect(try bytes(8..<16) == [1, 0, 0, 0, 0, 0, 0, 0])
    }
}
