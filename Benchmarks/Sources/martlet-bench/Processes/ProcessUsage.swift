// SPDX-License-Identifier: Apache-2.0

/// What a process that has ended took.
struct ProcessUsage {
    /// From just before it was started until its end was known.
    let wallSeconds: Double
    /// In user and kernel mode, all threads together.
    ///
    /// Other load on the host hardly changes it.
    let processorSeconds: Double
    /// In user mode, as far as the kernel tells it apart: it looks at each tick.
    let userSeconds: Double
    /// As a shell shows it: 128 and more for a signal.
    let status: CInt
}
