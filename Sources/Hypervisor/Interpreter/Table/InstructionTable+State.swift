// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    /// Instructions that move system and floating-point state (Intel SDM volume 2).
    static let state: [InstructionEntry] = [
        InstructionEntry(.map0F, 0xAE, .pF3, group: 0, form: .register, .readSegmentBase(.fs)),  // rdfsbase
        InstructionEntry(.map0F, 0xAE, .pF3, group: 1, form: .register, .readSegmentBase(.gs)),  // rdgsbase
        InstructionEntry(.map0F, 0xAE, .pF3, group: 2, form: .register, .writeSegmentBase(.fs)),  // wrfsbase
        InstructionEntry(.map0F, 0xAE, .pF3, group: 3, form: .register, .writeSegmentBase(.gs)),  // wrgsbase
        InstructionEntry(.map0F, 0xC7, .pF3, group: 7, form: .register, .readProcessorID),  // rdpid
        InstructionEntry(.map0F, 0x31, .any, .readTimeStampCounter(withAuxiliary: false)),  // rdtsc
        InstructionEntry(
            .map0F,
            0x01,
            .any,
            group: 7,
            form: .exactly(1),
            .readTimeStampCounter(withAuxiliary: true)  // rdtscp
        ),
        InstructionEntry(.map0F, 0x01, .none, group: 2, form: .exactly(0), .readExtendedControl),  // xgetbv
        InstructionEntry(.map0F, 0x02, .any, .testSelector(.accessRights)),  // lar
        InstructionEntry(.map0F, 0x03, .any, .testSelector(.limit)),  // lsl
        InstructionEntry(.map0F, 0x00, .any, group: 4, .testSelector(.read)),  // verr
        InstructionEntry(.map0F, 0x00, .any, group: 5, .testSelector(.write)),  // verw

        InstructionEntry(.primary, 0x9B, .any, .wait),  // fwait
        InstructionEntry(.primary, 0xDB, .any, group: 0, form: .memory, .loadInteger),  // fild m32
        InstructionEntry(.primary, 0xDB, .any, group: 4, form: .exactly(2), .clearFloatingPointExceptions),  // fnclex
        InstructionEntry(.primary, 0xDF, .any, group: 4, form: .exactly(0), .storeStatusWord),  // fnstsw %ax
        InstructionEntry(.primary, 0xD9, .any, group: 5, form: .memory, .loadControlWord),  // fldcw
        InstructionEntry(.map0F, 0x77, .none, .emptyMMX),  // emms
        InstructionEntry(.map0F, 0xAE, .none, group: 2, form: .memory, .loadMXCSR),  // ldmxcsr
        InstructionEntry(.map0F, 0xAE, .none, group: 3, form: .memory, .storeMXCSR),  // stmxcsr
        InstructionEntry(.map0F, 0xAE, .none, encoding: .vexWithoutRegister, group: 2, form: .memory, .loadMXCSR),
        InstructionEntry(.map0F, 0xAE, .none, encoding: .vexWithoutRegister, group: 3, form: .memory, .storeMXCSR),

        InstructionEntry(.map0F, 0xAE, .none, group: 4, form: .memory, .saveExtendedState(.plain)),  // xsave
        InstructionEntry(.map0F, 0xAE, .none, group: 6, form: .memory, .saveExtendedState(.optimized)),  // xsaveopt
        InstructionEntry(.map0F, 0xC7, .none, group: 4, form: .memory, .saveExtendedState(.compacted)),  // xsavec
        InstructionEntry(.map0F, 0xC7, .none, group: 5, form: .memory, .saveExtendedState(.supervisor)),  // xsaves
        InstructionEntry(
            .map0F,
            0xAE,
            .none,
            group: 5,
            form: .memory,
            .restoreExtendedState(isSupervisor: false)  // xrstor
        ),
        InstructionEntry(
            .map0F,
            0xC7,
            .none,
            group: 3,
            form: .memory,
            .restoreExtendedState(isSupervisor: true)  // xrstors
        ),
    ]
}
