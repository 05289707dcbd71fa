// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    /// AES, SHA and carry-less multiplication (Intel SDM volume 2).
    static let cryptography: [InstructionEntry] = [
        InstructionEntry(.map0F3A, 0x44, .p66, .vector(VectorArithmetic.pclmulqdq)),
        InstructionEntry(.map0F38, 0xDB, .p66, .vector(AES.aesimc)),
        InstructionEntry(.map0F38, 0xDC, .p66, .vector(AES.aesenc)),
        InstructionEntry(.map0F38, 0xDD, .p66, .vector(AES.aesenclast)),
        InstructionEntry(.map0F38, 0xDE, .p66, .vector(AES.aesdec)),
        InstructionEntry(.map0F38, 0xDF, .p66, .vector(AES.aesdeclast)),
        InstructionEntry(.map0F3A, 0xDF, .p66, .vector(AES.aeskeygenassist)),
        InstructionEntry(.map0F3A, 0xCC, .none, .vector(SHA.sha1rnds4)),
        InstructionEntry(.map0F38, 0xC8, .none, .vector(SHA.sha1nexte)),
        InstructionEntry(.map0F38, 0xC9, .none, .vector(SHA.sha1msg1)),
        InstructionEntry(.map0F38, 0xCA, .none, .vector(SHA.sha1msg2)),
        InstructionEntry(.map0F38, 0xCB, .none, .vector(SHA.sha256rnds2)),
        InstructionEntry(.map0F38, 0xCC, .none, .vector(SHA.sha256msg1)),
        InstructionEntry(.map0F38, 0xCD, .none, .vector(SHA.sha256msg2)),
    ]
}
