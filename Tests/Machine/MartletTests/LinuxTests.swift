// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

@Suite(
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct LinuxTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// One boot for all that needs Linux: it takes a minute on a host that interprets kernels.
    @Test(.timeLimit(.minutes(60)))
    func `Linux answers on its console, sees its disk grow and be replaced, and powers off`() async throws {
        var source = BootSource(kernelPath: try GuestImages.path("vmlinux"))
        source.commandLine = "quiet i8042.noaux rodata=off"
        var configuration = MachineConfiguration(bootSource: source)
        configuration.drives = [
            Drive("root", path: try GuestImages.path("root.ext4"), isRoot: true, isReadOnly: true),
            Drive("data", path: try folder.makeSparseFile("data", byteCount: 1 << 20)),
        ]
        configuration.drives[1].serial = "DATA"
        let machine = try VirtualMachine(configuration: configuration)
        let console = machine.console
        try await machine.start()
        try await console.write("echo answer: $((6 * 7)) $(cat /sys/block/vdb/serial)\n")
        #expect(await console.text(upTo: "answer: 42 DATA").contains("Martlet"))

        let disk = machine.storageDevices[1]
        #expect(disk.isUsedByGuest)
        _ = try folder.makeSparseFile("data", byteCount: 2 << 20)
        #expect(disk.updateSize())
        try await console.write("until grep 4096 /sys/block/vdb/size; do usleep 9999; done; echo grown: $((6 * 7))\n")
        _ = await console.text(upTo: "grown: 42")

        let contents = Array("other".utf8) + [UInt8](repeating: 0, count: 3 << 20)
        try disk.replaceImage(with: folder.write(Array(contents.prefix(3 << 20)), to: "other"))
        // Slower than the slowest guest asks.
        disk.setRateLimit(RateLimit(bytes: nil, operations: .init(capacity: 1, refillMilliseconds: 4000)))
        try await console.write(
            "until grep 6144 /sys/block/vdb/size; do usleep 9999; done; echo got: $(head -c5 /dev/vdb)\n"
        )
        _ = await console.text(upTo: "got: other")
        try await console.write("head -c 600000 /dev/vdb > /dev/null; echo read: $((6 * 7))\n")
        _ = await console.text(upTo: "read: 42")
        #expect(disk.statistics.bytesRead >= 600_000)
        #expect(disk.statistics.throttledCount > 0)

        try machine.requestStop()
        #expect(await [.poweredOff, .reset].contains(machine.waitUntilStopped()))
    }
}
