// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// Carries out an operation on the state in the executor and the memory of the context.
    mutating func perform(_ operation: Operation, on context: inout some CPUContext) throws(ExecutionFailure) {
        switch operation {
        case .integer(let operation): try performInteger(operation, on: &context)
        case .vector(let function, let memory): try performVector(function, memory, on: &context)
        case .vectorShift(let function): try performVectorShift(function, on: &context)
        case .vectorStore(let function, let memory): try performVectorStore(function, memory, on: &context)
        case .vectorInsert(let function, let element): try performVectorInsert(function, element, on: &context)
        case .vectorExtract(let function, let element): try performVectorExtract(function, element, on: &context)
        case .vectorMask(let function): try performVectorMask(function, on: &context)
        case .vectorTest: try performVectorTest(on: &context)
        case .wideVector(let function, let source): try performWide(function, source, on: &context)
        case .extractHalf: try extractHalf(on: &context)
        case .zeroVectors(let isUpperOnly): try zeroVectors(isUpperOnly: isUpperOnly, on: &context)

        case .noOperation: break
        case .pause: guard !instruction.prefixes.contains(.rex) else { throw .unsupported(.encoding) }
        case .flushCacheLine: try flushCacheLine(on: &context)
        case .raise(let vector): trap = CPUException(vector)
        case .undefined: throw .invalidOpcode
        case .setAlignmentCheck(let isSet): try setAlignmentCheck(to: isSet, on: context)
        case .softwareInterrupt: try softwareInterrupt(on: &context)
        case .invalidateTranslations: try invalidateTranslations(on: &context)

        case .compareExchangePair: try compareExchangePair(on: &context)
        case .storeBigEndian: try storeBigEndian(on: &context)
        case .multiplyWithoutFlags: try multiplyWithoutFlags(on: &context)
        case .random: random(on: &context)

        case .readSegmentBase(let segment): try readBase(of: segment, on: context)
        case .writeSegmentBase(let segment): try writeBase(of: segment, on: &context)
        case .readProcessorID: readProcessorID(on: &context)
        case .readTimeStampCounter(let withAuxiliary):
            try readTimeStampCounter(withAuxiliary: withAuxiliary, on: &context)
        case .readExtendedControl: try readExtendedControl(on: &context)
        case .testSelector(let test): try testSelector(test, on: &context)

        case .wait: try wait(on: &context)
        case .clearFloatingPointExceptions: try clearFloatingPointExceptions(on: &context)
        case .storeStatusWord: try storeStatusWord(on: &context)
        case .loadControlWord: try loadControlWord(on: &context)
        case .loadInteger: try loadInteger(on: &context)
        case .emptyMMX: try emptyMMX(on: &context)
        case .loadMXCSR: try loadMXCSR(on: &context)
        case .storeMXCSR: try storeMXCSR(on: &context)
        case .saveExtendedState(let variant): try saveExtendedState(variant, on: &context)
        case .restoreExtendedState(let isSupervisor):
            try restoreExtendedState(isSupervisor: isSupervisor, on: &context)
        }
    }
}
