// SPDX-License-Identifier: Apache-2.0

extension AML {
    /// The bytes of a list of terms.
    package static func encode(_ terms: [AML]) throws(AMLError) -> [UInt8] {
        var bytes: [UInt8] = []
        for term in terms { try term.append(to: &bytes) }
        return bytes
    }

    private func append(to bytes: inout [UInt8]) throws(AMLError) {
        switch self {
        case .integer, .string, .eisaID, .buffer, .package, .resourceTemplate:
            try appendData(to: &bytes)
        case .name, .scope, .device, .method, .portRegion, .byteField:
            try appendNamedObject(to: &bytes)
        case .reference, .local, .argument, .store, .and, .equal, .if, .notify, .return:
            try appendCode(to: &bytes)
        }
    }

    // MARK: - Data objects (ACPI 6.5, 20.2.3)

    private func appendData(to bytes: inout [UInt8]) throws(AMLError) {
        switch self {
        case .integer(let value):
            Self.append(value, to: &bytes)
        case .string(let text):
            guard text.utf8.allSatisfy({ (1...127).contains($0) }) else { throw .invalidString(text) }
            bytes.append(0x0d)
            bytes += text.utf8
            bytes.append(0)
        case .eisaID(let text):
            bytes.append(0x0c)
            bytes += try Self.compressedEISAID(text)
        case .buffer(let content):
            var body: [UInt8] = []
            Self.append(UInt64(content.count), to: &body)
            try Self.append(opcode: [0x11], body + content, to: &bytes)
        case .package(let elements):
            guard let count = UInt8(exactly: elements.count) else { throw .tooManyElements(elements.count) }
            try Self.append(opcode: [0x12], [count] + Self.encode(elements), to: &bytes)
        case .resourceTemplate(let resources):
            // A checksum of 0 stands for one that always matches (6.4.2.9).
            try AML.buffer(resources.flatMap(\.encoded) + [0x79, 0x00]).append(to: &bytes)
        default:
            preconditionFailure("\(self) is not a data object")
        }
    }

    /// An integer in the shortest of its encodings.
    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        switch value {
        case 0: bytes.append(0x00)
        case 1: bytes.append(0x01)
        case .max: bytes.append(0xff)
        case ...0xff: bytes += [0x0a, UInt8(value)]
        case ...0xffff:
            bytes.append(0x0b)
            bytes.appendLittleEndian(UInt16(value))
        case ...0xffff_ffff:
            bytes.append(0x0c)
            bytes.appendLittleEndian(UInt32(value))
        default:
            bytes.append(0x0e)
            bytes.appendLittleEndian(value)
        }
    }

    /// Three letters of five bits and four hexadecimal digits, most significant byte first.
    private static func compressedEISAID(_ text: String) throws(AMLError) -> [UInt8] {
        let characters = Array(text.utf8)
        let hexadecimal = Array("0123456789ABCDEF".utf8)
        let digits = characters.dropFirst(3).compactMap { hexadecimal.firstIndex(of: $0) }
        guard
            characters.count == 7, digits.count == 4,
            characters.prefix(3).allSatisfy((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains)
        else { throw .invalidEISAID(text) }
        let vendor = characters.prefix(3).reduce(UInt16(0)) { $0 << 5 | UInt16($1 - 0x40) }
        let product = digits.reduce(UInt16(0)) { $0 << 4 | UInt16($1) }
        return [UInt8(vendor >> 8), UInt8(vendor & 0xff), UInt8(product >> 8), UInt8(product & 0xff)]
    }

    // MARK: - Named objects (20.2.5.1, 20.2.5.2)

    private func appendNamedObject(to bytes: inout [UInt8]) throws(AMLError) {
        switch self {
        case .name(let path, let value):
            bytes.append(0x08)
            bytes += path.encoded
            try value.append(to: &bytes)
        case .scope(let path, let terms):
            try Self.append(opcode: [0x10], path.encoded + Self.encode(terms), to: &bytes)
        case .device(let path, let terms):
            try Self.append(opcode: [0x5b, 0x82], path.encoded + Self.encode(terms), to: &bytes)
        case .method(let path, let argumentCount, let isSerialized, let terms):
            guard (0...7).contains(argumentCount) else {
                throw .invalidOperand("method of \(argumentCount) arguments")
            }
            let flags = UInt8(argumentCount) | (isSerialized ? 1 << 3 : 0)
            try Self.append(opcode: [0x14], path.encoded + [flags] + Self.encode(terms), to: &bytes)
        case .portRegion(let path, let base, let byteCount):
            bytes += [0x5b, 0x80]
            bytes += path.encoded
            bytes.append(0x01)
            Self.append(UInt64(base), to: &bytes)
            Self.append(UInt64(byteCount), to: &bytes)
        case .byteField(let region, let units):
            // Field flags: access type ByteAcc, NoLock, Preserve.
            var body = region.encoded + [0x01]
            for unit in units { try unit.append(to: &body) }
            try Self.append(opcode: [0x5b, 0x81], body, to: &bytes)
        default:
            preconditionFailure("\(self) names no object")
        }
    }

    // MARK: - Statements and expressions (20.2.5.3, 20.2.5.4, 20.2.6)

    private func appendCode(to bytes: inout [UInt8]) throws(AMLError) {
        switch self {
        case .reference(let path):
            bytes += path.encoded
        case .local(let index):
            guard (0...7).contains(index) else { throw .invalidOperand("Local\(index)") }
            bytes.append(0x60 + UInt8(index))
        case .argument(let index):
            guard (0...6).contains(index) else { throw .invalidOperand("Arg\(index)") }
            bytes.append(0x68 + UInt8(index))
        case .store(let value, let target):
            bytes.append(0x70)
            bytes += try Self.encode([value, target])
        case .and(let left, let right):
            bytes.append(0x7b)
            bytes += try Self.encode([left, right])
            bytes.append(0x00)  // no target but the expression's own value
        case .equal(let left, let right):
            bytes.append(0x93)
            bytes += try Self.encode([left, right])
        case .if(let condition, let terms):
            try Self.append(opcode: [0xa0], Self.encode([condition] + terms), to: &bytes)
        case .notify(let path, let value):
            bytes.append(0x86)
            bytes += path.encoded
            try value.append(to: &bytes)
        case .return(let value):
            bytes.append(0xa4)
            try value.append(to: &bytes)
        default:
            preconditionFailure("\(self) is neither a statement nor an expression")
        }
    }

    // MARK: - PkgLength (20.2.4)

    private static func append(opcode: [UInt8], _ body: [UInt8], to bytes: inout [UInt8]) throws(AMLError) {
        bytes += opcode
        bytes += try packageLength(ofBody: body.count)
        bytes += body
    }

    /// The PkgLength in front of a body; it counts its own one to four bytes too.
    package static func packageLength(ofBody byteCount: Int) throws(AMLError) -> [UInt8] {
        for width in 1...4 where byteCount <= maximum(ofWidth: width) - width {
            return packageLength(byteCount + width, width: width)
        }
        throw .tooLong(byteCount)
    }

    /// The PkgLength that counts the bits of a field unit: not itself.
    fileprivate static func packageLength(ofBits bitCount: Int) throws(AMLError) -> [UInt8] {
        for width in 1...4 where (0...maximum(ofWidth: width)).contains(bitCount) {
            return packageLength(bitCount, width: width)
        }
        throw .tooLong(bitCount)
    }

    /// 6 bits in one byte; else 4 bits in the first and 8 in each that follows.
    private static func maximum(ofWidth width: Int) -> Int {
        width == 1 ? 0x3f : 1 << (4 + 8 * (width - 1)) - 1
    }

    private static func packageLength(_ value: Int, width: Int) -> [UInt8] {
        guard width > 1 else { return [UInt8(value)] }
        let lead = UInt8(width - 1) << 6 | UInt8(value & 0xf)
        return [lead] + (1..<width).map { UInt8(truncatingIfNeeded: value >> (4 + 8 * ($0 - 1))) }
    }
}

extension AMLFieldUnit {
    fileprivate func append(to bytes: inout [UInt8]) throws(AMLError) {
        switch self {
        case .named(let path, let bitCount):
            guard path.encoded.count == 4 else {
                throw .invalidName(String(decoding: path.encoded, as: UTF8.self))
            }
            bytes += path.encoded
            bytes += try AML.packageLength(ofBits: bitCount)
        case .reserved(let bitCount):
            bytes.append(0x00)
            bytes += try AML.packageLength(ofBits: bitCount)
        }
    }
}
