// SPDX-License-Identifier: Apache-2.0

import Martlet

/// Boots Linux, talks to its shell, shows what its console says, and stops it: `HelloGuest KERNEL DISK`.
@main
struct HelloGuest {
    static func main() async throws {
        guard CommandLine.arguments.count == 3 else { return print("usage: HelloGuest KERNEL DISK") }

        // The description of the machine.
        let source = BootSource(kernelPath: CommandLine.arguments[1], commandLine: "quiet i8042.noaux")
        var configuration = MachineConfiguration(bootSource: source)
        configuration.size.memoryMiB = 128
        configuration.drives = [Drive("root", path: CommandLine.arguments[2], isRoot: true, isReadOnly: true)]
        try configuration.validate()

        // It starts, and its shell gets a command.
        let machine = try VirtualMachine(configuration: configuration)
        try await machine.start()
        try await machine.console.write("echo Hello from $(uname -sr) | tr a-z A-Z\n")

        // What it sends is shown up to the answer.
        for await line in machine.console.lines {
            print(line)
            if line.contains("HELLO FROM") { break }
        }

        try await machine.stop()
        print("And now: \(await machine.waitUntilStopped()).")
    }
}
