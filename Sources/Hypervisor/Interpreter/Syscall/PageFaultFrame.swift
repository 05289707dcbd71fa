// SPDX-License-Identifier: Apache-2.0

/// The frame that the processor pushes when it enters a page fault handler in 64-bit mode, lowest address first.
///
/// Intel SDM volume 3A, 6.14.2 "64-Bit Mode Stack Frame".
package struct PageFaultFrame: Hashable, Sendable {
    /// The size of the frame with its error code.
    package static let byteCount = 48

    /// The error code.
    package var errorCode: UInt64
    /// RIP of the instruction that faulted.
    package var rip: UInt64
    /// CS.
    package var cs: UInt64
    /// RFLAGS.
    package var rflags: RFlags
    /// RSP.
    package var rsp: UInt64
    /// SS.
    package var ss: UInt64

    /// Makes a frame from its fields, lowest address first.
    package init(errorCode: UInt64, rip: UInt64, cs: UInt64, rflags: RFlags, rsp: UInt64, ss: UInt64) {
        self.errorCode = errorCode
        self.rip = rip
        self.cs = cs
        self.rflags = rflags
        self.rsp = rsp
        self.ss = ss
    }

    /// Reads a frame from the bytes at the handler's RSP.
    ///
    /// - Parameter bytes: At least ``byteCount`` bytes.
    package init(_ bytes: RawSpan) {
        precondition(bytes.byteCount >= Self.byteCount)
        self.init(
            errorCode: bytes.integer(at: 0),
            rip: bytes.integer(at: 8),
            cs: bytes.integer(at: 16),
            rflags: RFlags(rawValue: bytes.integer(at: 24)),
            rsp: bytes.integer(at: 32),
            ss: bytes.integer(at: 40)
        )
    }
}
