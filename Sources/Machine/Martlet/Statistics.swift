// SPDX-License-Identifier: Apache-2.0

import Machine

extension VirtualMachine {
    /// The counters of a machine since it was made.
    public struct Statistics: Hashable, Sendable {
        /// The number of times that a vCPU left its guest, by reason.
        public struct CPU: Hashable, Sendable {
            /// Reads of I/O ports.
            public var portReadCount: UInt64
            /// Writes of I/O ports.
            public var portWriteCount: UInt64
            /// Reads of device registers in memory.
            public var mmioReadCount: UInt64
            /// Writes of device registers in memory.
            public var mmioWriteCount: UInt64
            /// Instructions that KVM gave up on and Martlet completed: on hosts that interpret guest code only.
            public var emulationCount: UInt64
            /// Exits that this process asked for, or a signal.
            public var kickCount: UInt64
            /// All others.
            public var otherCount: UInt64
        }

        /// One for each vCPU, in their order.
        public var cpus: [CPU]

        /// The guest memory that the host has provided so far, in bytes; `nil` where the host does not tell.
        public var residentMemorySize: UInt64?

        /// The number of console bytes that were dropped because a file descriptor took nothing for long, from a guest that
        /// did not check its line.
        public var droppedConsoleByteCount: UInt64

        init(_ statistics: MachineStatistics) {
            cpus = statistics.vcpus.map { CPU($0) }
            residentMemorySize = statistics.guestByteCount
            droppedConsoleByteCount = statistics.console.droppedByteCount
        }
    }
}

extension VirtualMachine.Statistics.CPU {
    fileprivate init(_ counts: VCPUStatistics) {
        self.init(
            portReadCount: counts.portReads,
            portWriteCount: counts.portWrites,
            mmioReadCount: counts.mmioReads,
            mmioWriteCount: counts.mmioWrites,
            emulationCount: counts.emulations,
            kickCount: counts.kicks,
            otherCount: counts.others
        )
    }
}
