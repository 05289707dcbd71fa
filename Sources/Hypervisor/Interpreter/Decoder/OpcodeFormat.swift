// SPDX-License-Identifier: Apache-2.0

/// The bytes that follow an opcode.
///
/// Intel SDM volume 2, appendix A "Opcode Map", which uses the same letters for the immediates.
struct OpcodeFormat: Hashable, Sendable {
    /// The size of an immediate operand.
    enum Immediate: Sendable {
        case none
        /// Ib.
        case byte
        /// Iw.
        case word
        /// Iw, Ib: `enter`.
        case wordAndByte
        /// Iz: as the operand size, but at most four bytes.
        case operandUpTo4
        /// Iv: as the operand size.
        case operand
        /// Ob, Ov: as the address size.
        case address
        /// Ap: a selector and an offset.
        case farPointer
        /// Ib for the first two instructions of the group, else nothing.
        case byteInTestGroup
        /// Iz for the first two instructions of the group, else nothing.
        case operandInTestGroup
    }

    var hasModRM: Bool
    var immediate: Immediate

    /// The format of an opcode, or nil when it does not exist.
    static func format(of opcode: UInt8, in map: OpcodeMap, codeSize: CodeSize) -> OpcodeFormat? {
        let letter =
            switch map {
            case .primary: (codeSize == .bits64 ? primary64 : primary32)[Int(opcode)]
            case .map0F: map0F[Int(opcode)]
            case .map0F38: UInt8(ascii: "m")
            case .map0F3A: UInt8(ascii: "M")
            }
        return OpcodeFormat(letter: letter)
    }

    private init?(letter: UInt8) {
        switch UnicodeScalar(letter) {
        case "-": self.init(hasModRM: false, immediate: .none)
        case "b": self.init(hasModRM: false, immediate: .byte)
        case "w": self.init(hasModRM: false, immediate: .word)
        case "e": self.init(hasModRM: false, immediate: .wordAndByte)
        case "z": self.init(hasModRM: false, immediate: .operandUpTo4)
        case "v": self.init(hasModRM: false, immediate: .operand)
        case "o": self.init(hasModRM: false, immediate: .address)
        case "p": self.init(hasModRM: false, immediate: .farPointer)
        case "m": self.init(hasModRM: true, immediate: .none)
        case "M": self.init(hasModRM: true, immediate: .byte)
        case "Z": self.init(hasModRM: true, immediate: .operandUpTo4)
        case "g": self.init(hasModRM: true, immediate: .byteInTestGroup)
        case "G": self.init(hasModRM: true, immediate: .operandInTestGroup)
        default: return nil
        }
    }

    private init(hasModRM: Bool, immediate: Immediate) {
        self.hasModRM = hasModRM
        self.immediate = immediate
    }

    // The maps, sixteen opcodes a row: a letter of `init(letter:)`, `x` for an invalid opcode and `P` for a prefix
    // or an escape, which the decoder takes before it looks here.

    private static let primary64 = Array(
        ("mmmmbzxxmmmmbzxP"  // 00
            + "mmmmbzxxmmmmbzxx"  // 10
            + "mmmmbzPxmmmmbzPx"  // 20
            + "mmmmbzPxmmmmbzPx"  // 30
            + "PPPPPPPPPPPPPPPP"  // 40
            + "----------------"  // 50
            + "xxxmPPPPzZbM----"  // 60
            + "bbbbbbbbbbbbbbbb"  // 70
            + "MZxMmmmmmmmmmmmm"  // 80
            + "----------x-----"  // 90
            + "oooo----bz------"  // a0
            + "bbbbbbbbvvvvvvvv"  // b0
            + "MMw-PPMZe-w--bx-"  // c0
            + "mmmmxxx-mmmmmmmm"  // d0
            + "bbbbbbbbzzxb----"  // e0
            + "P-PP--gG------mm").utf8  // f0
    )

    private static let primary32 = Array(
        ("mmmmbz--mmmmbz-P"  // 00
            + "mmmmbz--mmmmbz--"  // 10
            + "mmmmbzP-mmmmbzP-"  // 20
            + "mmmmbzP-mmmmbzP-"  // 30
            + "----------------"  // 40
            + "----------------"  // 50
            + "--mmPPPPzZbM----"  // 60
            + "bbbbbbbbbbbbbbbb"  // 70
            + "MZMMmmmmmmmmmmmm"  // 80
            + "----------p-----"  // 90
            + "oooo----bz------"  // a0
            + "bbbbbbbbvvvvvvvv"  // b0
            + "MMw-mmMZe-w--b--"  // c0
            + "mmmmbbx-mmmmmmmm"  // d0
            + "bbbbbbbbzzpb----"  // e0
            + "P-PP--gG------mm").utf8  // f0
    )

    private static let map0F = Array(
        ("mmmmx-----x-xm-x"  // 00; 0e is femms, 0f is 3DNow!
            + "mmmmmmmmmmmmmmmm"  // 10
            + "mmmmxxxxmmmmmmmm"  // 20
            + "------x-PxPxxxxx"  // 30
            + "mmmmmmmmmmmmmmmm"  // 40
            + "mmmmmmmmmmmmmmmm"  // 50
            + "mmmmmmmmmmmmmmmm"  // 60
            + "MMMMmmm-mmxxmmmm"  // 70; 78 and 79 without their AMD immediates
            + "zzzzzzzzzzzzzzzz"  // 80
            + "mmmmmmmmmmmmmmmm"  // 90
            + "---mMmxx---mMmmm"  // a0
            + "mmmmmmmmmmMmmmmm"  // b0
            + "mmMmMMMm--------"  // c0
            + "mmmmmmmmmmmmmmmm"  // d0
            + "mmmmmmmmmmmmmmmm"  // e0
            + "mmmmmmmmmmmmmmmm").utf8  // f0
    )
}
