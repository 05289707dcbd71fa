// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Machine

extension ExitCode {
    /// The exit status that tells a script how the machine ended.
    init(_ outcome: MachineOutcome) {
        self.init(Int32(outcome.exitStatus))
    }
}
