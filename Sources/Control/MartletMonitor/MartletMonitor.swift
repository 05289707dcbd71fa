// SPDX-License-Identifier: Apache-2.0

import Host
import Monitor

/// The program `martlet-monitor`.
@main
enum MartletMonitor {
    static func main() {
        Monitor.run(ProcessArguments.all)
    }
}
