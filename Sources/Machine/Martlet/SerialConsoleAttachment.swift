// SPDX-License-Identifier: Apache-2.0

/// The ends of the two directions of a machine's serial console.
public enum SerialConsoleAttachment: Hashable, Sendable {
    /// To ``VirtualMachine/console``: this process reads and writes it.
    case stream

    /// To open file descriptors: pipes, files, terminals.
    ///
    /// They stay the caller's, who keeps them open until the machine has ended. A reader that stalls holds back a guest that
    /// checks its line. `nil` for `output` drops the guest's output, for `input` leaves the line silent.
    case fileDescriptors(output: CInt?, input: CInt?)

    /// Nowhere: output is dropped, and there is no input.
    case disconnected
}
