// SPDX-License-Identifier: Apache-2.0

/// A segment descriptor (Intel SDM volume 3A, 3.4.5 "Segment Descriptors").
struct SegmentDescriptor {
    let rawValue: UInt64

    /// The test of a selector (Intel SDM volume 2, "LAR", "LSL", "VERR/VERW").
    enum Test: Sendable {
        /// `lar`.
        case accessRights
        /// `lsl`.
        case limit
        /// `verr`.
        case read
        /// `verw`.
        case write
    }

    private var type: UInt64 { rawValue >> 40 & 15 }
    private var isCodeOrData: Bool { rawValue >> 44 & 1 != 0 }
    /// DPL: 0 to 3.
    var privilegeLevel: UInt8 { UInt8(rawValue >> 45 & 3) }
    var isCode: Bool { isCodeOrData && type & 8 != 0 }
    var isPresent: Bool { rawValue >> 47 & 1 != 0 }
    private var isConforming: Bool { isCode && type & 4 != 0 }
    /// R of a code segment, W of a data segment.
    private var isReadableOrWritable: Bool { type & 2 != 0 }

    /// The result of `lar`.
    var accessRights: UInt64 { rawValue >> 32 & 0x00FF_FF00 }

    /// The result of `lsl`: the offset of the segment's last byte.
    var limit: UInt64 {
        let limit = rawValue & 0xFFFF | rawValue >> 32 & 0xF_0000
        return rawValue >> 55 & 1 == 0 ? limit : limit << 12 | 0xFFF
    }

    /// Returns whether a test succeeds at a privilege level: the greater number of CPL and RPL.
    func passes(_ test: Test, privilegeLevel: UInt8, isLongMode: Bool) -> Bool {
        guard isConforming || privilegeLevel <= self.privilegeLevel else { return false }
        return switch test {
        case .accessRights: isCodeOrData || (isLongMode ? [2, 9, 11, 12] : [1, 2, 3, 4, 5, 9, 11, 12]).contains(type)
        case .limit: isCodeOrData || (isLongMode ? [2, 9, 11] : [1, 2, 3, 9, 11]).contains(type)
        case .read: isCodeOrData && (!isCode || isReadableOrWritable)
        case .write: isCodeOrData && !isCode && isReadableOrWritable
        }
    }
}
