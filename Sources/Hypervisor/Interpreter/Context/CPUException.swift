// SPDX-License-Identifier: Apache-2.0

/// An exception for the caller to inject.
package struct CPUException: Error, Hashable, Sendable {
    /// Exception vectors (Intel SDM volume 3A, table 6-1).
    package enum Vector: UInt8, Sendable {
        /// #DB.
        case debug = 1
        /// #BP.
        case breakpoint = 3
        /// #UD.
        case invalidOpcode = 6
        /// #NM.
        case deviceNotAvailable = 7
        /// #NP.
        case segmentNotPresent = 11
        /// #SS.
        case stackFault = 12
        /// #GP.
        case generalProtection = 13
        /// #PF.
        case pageFault = 14
        /// #MF.
        case floatingPointError = 16
    }

    /// The exception's vector.
    package var vector: Vector
    /// The error code to push, for the exceptions that have one.
    package var errorCode: UInt32?
    /// The payload in KVM's words: CR2 for #PF, the bits to set in DR6 for #DB.
    package var payload: UInt64?

    /// Describes an exception.
    ///
    /// `payload` is CR2 for #PF, the bits to set in DR6 for #DB.
    package init(_ vector: Vector, errorCode: UInt32? = nil, payload: UInt64? = nil) {
        self.vector = vector
        self.errorCode = errorCode
        self.payload = payload
    }

    static let invalidOpcode = CPUException(.invalidOpcode)
    static let deviceNotAvailable = CPUException(.deviceNotAvailable)
    static let generalProtection = CPUException(.generalProtection, errorCode: 0)
    static let stackFault = CPUException(.stackFault, errorCode: 0)
    /// #DB after an instruction that ran with RFLAGS.TF set; DR6.BS is bit 14.
    static let singleStep = CPUException(.debug, payload: 1 << 14)

    /// The page fault for a failed access (Intel SDM volume 3A, 4.7 "Page-Fault Exceptions").
    static func pageFault(_ fault: MemoryFault, isUser: Bool) -> CPUException {
        var errorCode: UInt32 = fault.isWrite ? 1 << 1 : 0
        if fault.cause != .notPresent { errorCode |= 1 << 0 }
        if isUser { errorCode |= 1 << 2 }
        if fault.cause == .reservedBit { errorCode |= 1 << 3 }
        return CPUException(.pageFault, errorCode: errorCode, payload: fault.address)
    }
}
