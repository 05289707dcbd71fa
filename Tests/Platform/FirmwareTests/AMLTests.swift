// SPDX-License-Identifier: Apache-2.0

import Firmware
import Testing

@Suite struct AMLTests {
    // MARK: - Data objects

    @Test(
        arguments: [
            (0, [0x00]), (1, [0x01]), (2, [0x0a, 0x02]), (0xff, [0x0a, 0xff]), (0x100, [0x0b, 0x00, 0x01]),
            (0xffff, [0x0b, 0xff, 0xff]), (0x1_0000, [0x0c, 0x00, 0x00, 0x01, 0x00]),
            (0xffff_ffff, [0x0c, 0xff, 0xff, 0xff, 0xff]),
            (0x1_0000_0000, [0x0e, 0, 0, 0, 0, 1, 0, 0, 0]),
            (.max - 1, [0x0e, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), (.max, [0xff]),
        ] as [(UInt64, [UInt8])]
    )
    func `an integer has its shortest encoding`(value: UInt64, bytes: [UInt8]) throws {
        #expect(try AML.encode([.integer(value)]) == bytes)
    }

    @Test func `a string ends with a zero`() throws {
        #expect(try AML.encode([.string("QEMU")]) == [0x0d, 0x51, 0x45, 0x4d, 0x55, 0x00])
    }

    @Test(arguments: [0x00, 0x80, 0xe4] as [UInt8])
    func `a string of other than ASCII throws`(character: UInt8) {
        let text = "A" + String(UnicodeScalar(character))
        #expect(throws: AMLError.invalidString(text)) { try AML.encode([.string(text)]) }
    }

    @Test(
        arguments: [
            ("PNP0501", [0x0c, 0x41, 0xd0, 0x05, 0x01]), ("PNP0C0C", [0x0c, 0x41, 0xd0, 0x0c, 0x0c]),
            ("PNP0B00", [0x0c, 0x41, 0xd0, 0x0b, 0x00]), ("ZZZFFFF", [0x0c, 0x6b, 0x5a, 0xff, 0xff]),
        ] as [(String, [UInt8])]
    )
    func `an EISA identifier is compressed`(text: String, bytes: [UInt8]) throws {
        #expect(try AML.encode([.eisaID(text)]) == bytes)
    }

    @Test(arguments: ["", "PNP050", "PNP05011", "pnp0501", "PNP050x", "PN00501", "PNP0c0c"])
    func `a wrong EISA identifier throws`(text: String) {
        #expect(throws: AMLError.invalidEISAID(text)) { try AML.encode([.eisaID(text)]) }
    }

    @Test func `a buffer says its size twice`() throws {
        #expect(try AML.encode([.buffer([7, 8, 9])]) == [0x11, 0x06, 0x0a, 0x03, 7, 8, 9])
    }

    @Test func `a package says its length and its number of elements`() throws {
        #expect(try AML.encode([.package([.integer(5), .integer(0)])]) == [0x12, 0x05, 0x02, 0x0a, 0x05, 0x00])
    }

    @Test func `a package of 256 elements throws`() throws {
        let elements = [AML](repeating: .integer(0), count: 256)
        #expect(throws: AMLError.tooManyElements(256)) { try AML.encode([.package(elements)]) }
        #expect(try AML.encode([.package(elements.dropLast())]).count == 1 + 2 + 1 + 255)
    }

    // MARK: - Resources

    @Test(
        arguments: [
            (.io(base: 0x3f8, byteCount: 8), [0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08]),
            (.irq(0), [0x22, 0x01, 0x00]), (.irq(15), [0x22, 0x00, 0x80]),
            (
                .memory32Fixed(base: 0xd000_0000, byteCount: 0x1000),
                [0x86, 0x09, 0x00, 0x01, 0x00, 0x00, 0x00, 0xd0, 0x00, 0x10, 0x00, 0x00]
            ),
            (.interrupt(0x17), [0x89, 0x06, 0x00, 0x03, 0x01, 0x17, 0x00, 0x00, 0x00]),
        ] as [(AMLResource, [UInt8])]
    )
    func `a resource template is a buffer with an end tag`(resource: AMLResource, bytes: [UInt8]) throws {
        let length = UInt8(bytes.count + 2)
        let encoded = try AML.encode([.resourceTemplate([resource])])
        #expect(encoded == [0x11, length + 3, 0x0a, length] + bytes + [0x79, 0x00])
    }

    @Test func `an ISA line beyond 15 traps`() async {
        await #expect(processExitsWith: .failure) { _ = try AML.encode([.resourceTemplate([.irq(16)])]) }
    }

    // MARK: - Named objects and code

    @Test(
        arguments: [
            (.name("_UID", .integer(1)), [0x08, 0x5f, 0x55, 0x49, 0x44, 0x01]),
            (.scope("SB", [.integer(0)]), [0x10, 0x06, 0x53, 0x42, 0x5f, 0x5f, 0x00]),
            (.device("ABCD", []), [0x5b, 0x82, 0x05, 0x41, 0x42, 0x43, 0x44]),
            (
                .method("_EVT", argumentCount: 1, isSerialized: true, []),
                [0x14, 0x06, 0x5f, 0x45, 0x56, 0x54, 0x09]
            ),
            (
                .portRegion("EREG", base: 0x603, byteCount: 1),
                [0x5b, 0x80, 0x45, 0x52, 0x45, 0x47, 0x01, 0x0b, 0x03, 0x06, 0x01]
            ),
            (
                .byteField(of: "EREG", [.reserved(bitCount: 3), .named("EVTS", bitCount: 5)]),
                [0x5b, 0x81, 0x0d, 0x45, 0x52, 0x45, 0x47, 0x01, 0x00, 0x03, 0x45, 0x56, 0x54, 0x53, 0x05]
            ),
            (.store(.argument(6), to: .local(7)), [0x70, 0x6e, 0x67]),
            (.and(.local(0), .integer(1)), [0x7b, 0x60, 0x01, 0x00]),
            (.equal(.argument(0), .integer(0)), [0x93, 0x68, 0x00]),
            (.if(.integer(1), [.return(.integer(0))]), [0xa0, 0x04, 0x01, 0xa4, 0x00]),
            (.notify("PWRB", .integer(0x80)), [0x86, 0x50, 0x57, 0x52, 0x42, 0x0a, 0x80]),
            (.reference("^A"), [0x5e, 0x41, 0x5f, 0x5f, 0x5f]),
        ] as [(AML, [UInt8])]
    )
    func `a term has its encoding`(term: AML, bytes: [UInt8]) throws {
        #expect(try AML.encode([term]) == bytes)
    }

    @Test(
        arguments: [
            (.local(8), "Local8"), (.local(-1), "Local-1"), (.argument(7), "Arg7"),
            (.method("M", argumentCount: 8, []), "method of 8 arguments"),
        ] as [(AML, String)]
    )
    func `an operand that AML lacks throws`(term: AML, name: String) {
        #expect(throws: AMLError.invalidOperand(name)) { try AML.encode([term]) }
    }

    @Test func `a field unit has a name of one segment`() {
        #expect(throws: AMLError.self) { try AML.encode([.byteField(of: "R", [.named("A.B", bitCount: 1)])]) }
    }

    // MARK: - PkgLength

    /// The limits of its one to four bytes: 63, 4095, 2^20 - 1 and 2^28 - 1, the length of the PkgLength included.
    @Test(
        arguments: [
            (0, [0x01]), (62, [0x3f]), (63, [0x41, 0x04]), (4093, [0x4f, 0xff]), (4094, [0x81, 0x00, 0x01]),
            (0xf_fffc, [0x8f, 0xff, 0xff]), (0xf_fffd, [0xc1, 0x00, 0x00, 0x01]),
            (0xfff_fffb, [0xcf, 0xff, 0xff, 0xff]),
        ] as [(Int, [UInt8])]
    )
    func `a PkgLength takes as many bytes as it needs`(byteCount: Int, bytes: [UInt8]) throws {
        #expect(try AML.packageLength(ofBody: byteCount) == bytes)
    }

    @Test func `a body beyond 28 bits of length throws`() {
        #expect(throws: AMLError.tooLong(0xfff_fffc)) { try AML.packageLength(ofBody: 0xfff_fffc) }
    }

    @Test(
        arguments: [
            (0, [0x00]), (63, [0x3f]), (64, [0x40, 0x04]), (4095, [0x4f, 0xff]), (4096, [0x80, 0x00, 0x01]),
            (0xfff_ffff, [0xcf, 0xff, 0xff, 0xff]),
        ] as [(Int, [UInt8])]
    )
    func `the length of a field unit does not count itself`(bitCount: Int, bytes: [UInt8]) throws {
        let encoded = try AML.encode([.byteField(of: "R", [.reserved(bitCount: bitCount)])])
        #expect(encoded.suffix(bytes.count + 1) == [0x00] + bytes)
    }

    @Test(arguments: [-1, 0x1000_0000])
    func `a field unit beyond 28 bits of length throws`(bitCount: Int) {
        #expect(throws: AMLError.tooLong(bitCount)) {
            try AML.encode([.byteField(of: "R", [.reserved(bitCount: bitCount)])])
        }
    }
}
