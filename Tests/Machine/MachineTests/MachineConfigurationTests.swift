// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Machine
import SystemPackage
import Testing

@Suite struct MachineConfigurationTests {
    private func message(_ change: (inout MachineConfiguration) -> Void) -> String? {
        var configuration = MachineConfiguration(kernel: "kernel")
        change(&configuration)
        do throws(MachineError) {
            try configuration.validate()
            return nil
        } catch {
            return error.description
        }
    }

    @Test(arguments: [1, 2, 31, 32])
    func `1 to 32 vCPUs are right`(count: Int) {
        #expect(message { $0.vcpuCount = count } == nil)
    }

    @Test(arguments: [0, 33, -1, .max, .min])
    func `any other number of vCPUs is refused with what is right`(count: Int) {
        #expect(message { $0.vcpuCount = count } == "a machine has 1 to 32 vCPUs, not \(count)")
    }

    @Test func `a kernel without a path and a command line of several lines are refused`() {
        #expect(message { $0.kernel = "" } == "the path of the kernel is empty")
        #expect(message { $0.commandLine = "quiet\nro" }?.contains("control character 0xa") == true)
    }

    @Test func `what is wrong with a disk is said of that disk`() {
        var configuration = MachineConfiguration(kernel: "kernel")
        configuration.disks = [DiskConfiguration(path: "one"), DiskConfiguration(path: "two")]
        configuration.disks[1].queueCount = 0
        let text = "disk two: a disk has 1 to 16 queues, not 0"
        #expect(throws: MachineError.configuration(.disk(1, .queueCount), text)) { try configuration.validate() }
    }

    @Test func `memory from 16 MiB to the host's own is right, in whole pages`() {
        let host = MachineConfiguration.hostMemoryByteCount
        for byteCount in [16 << 20, 16 << 20 + 4096, host] as [UInt64] {
            #expect(message { $0.memoryByteCount = byteCount } == nil)
        }
        #expect(message { $0.memoryByteCount = 16 << 20 - 4096 }?.contains("at least 16 MiB") == true)
        #expect(message { $0.memoryByteCount = 15 << 20 }?.hasSuffix("not 15 MiB") == true)
        #expect(message { $0.memoryByteCount = 16 << 20 + 1 }?.contains("16777217 bytes") == true)
        #expect(message { $0.memoryByteCount = host + 4096 }?.contains("this host has \(host >> 20) MiB") == true)
        #expect(message { $0.memoryByteCount = .max - 4095 }?.contains("this host has") == true)
    }

    @Test func `Martlet's parameters come first, then the host's, then the image's`() {
        var configuration = MachineConfiguration(kernel: "kernel")
        configuration.imageParameters = ["image=1"]
        let native = KernelParameters(for: configuration, isHostInterpreting: false).values
        #expect(native.first == "console=ttyS0")
        #expect(native.last == "image=1")
        #expect(!native.contains("noxsave"))
        let interpreted = KernelParameters(for: configuration, isHostInterpreting: true).values
        #expect(interpreted == native.dropLast() + InterpretedHost.kernelParameters + ["image=1"])
        configuration.isCommandLineComplete = true
        #expect(KernelParameters(for: configuration, isHostInterpreting: true).values == [])
    }

    @Test(
        arguments: [
            ("init=/sbin/httpd -- root=/srv/www quiet reboot=x", true), ("init=\"/bin/sh root=x\"", true),
            ("root=/dev/vdb", false), ("\"root=/dev/vd b\"", false), ("a=\"b\" root=LABEL=x -- y", false),
        ]
    )
    func `words of init's, behind -- or in quotes, are no kernel parameters`(line: String, namesRoot: Bool) {
        var configuration = MachineConfiguration(kernel: "kernel")
        configuration.disks = [DiskConfiguration(path: "disk")]
        configuration.commandLine = line
        let parameters = KernelParameters(for: configuration, isHostInterpreting: false)
        #expect(parameters.values.contains("root=/dev/vda") == namesRoot)
        #expect(parameters.values.contains("earlyprintk=ttyS0,115200"))
    }

    @Test(
        arguments: [
            (16 << 20, [16 << 20]), (3 << 30, [3 << 30]), (3 << 30 + 4096, [3 << 30, 4096]),
            (5 << 30, [3 << 30, 2 << 30]),
        ] as [(UInt64, [UInt64])]
    )
    func `RAM lies around the device hole`(byteCount: UInt64, regions: [UInt64]) throws {
        let memory = try GuestMemory(byteCount: byteCount)
        #expect(memory.regions.map(\.byteCount) == regions)
        #expect(memory.regions.map(\.start.rawValue) == Array([0, 4 << 30].prefix(regions.count)))
        #expect(memory.byteCount == byteCount)
    }
}
