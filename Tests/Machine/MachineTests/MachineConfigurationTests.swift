// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Machine
import MachineModel
import SystemPackage
import Testing

@Suite struct MachineConfigurationTests {
    private func message(_ change: (inout MachineConfiguration) -> Void) -> String? {
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "kernel"))
        change(&configuration)
        do throws(MachineError) {
            try configuration.validateForHost()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `a command line of several lines is refused`() {
        #expect(message { $0.bootSource?.commandLine = "quiet\nro" }?.contains("control character 0xa") == true)
    }

    @Test func `a wrong field of the description is an error of the configuration`() {
        #expect(message { $0.size.vcpuCount = 33 } == "machine-config.vcpu_count: must be 1 to 32, not 33")
    }

    @Test func `a guest may have more memory than the host`() {
        let host = Int(clamping: MachineConfiguration.hostMemoryByteCount >> 20)
        for size in [16, host, host + 1, 1 << 20] { #expect(message { $0.size.memoryMiB = size } == nil) }
    }

    @Test func `a machine has room for so many disks, one less beside an entropy device`() {
        func disks(_ count: Int) -> [Drive] { (0..<count).map { Drive("disk\($0)", path: "disk") } }
        let capacity = MachineConfiguration.deviceCapacity
        #expect(
            message { $0.drives = disks(capacity) }
                == "drives: a machine has room for \(capacity - 1) disks, not \(capacity)"
        )
        #expect(message { ($0.drives, $0.entropy) = (disks(capacity), nil) } == nil)
    }

    @Test func `Martlet's parameters come first, then the host's, then the image's`() {
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "kernel"))
        configuration.bootSource?.imageParameters = "image=1"
        let native = KernelParameters(for: configuration, isHostInterpreting: false).values
        #expect(native.first == "console=ttyS0")
        #expect(native.last == "image=1")
        #expect(!native.contains("noxsave"))
        let interpreted = KernelParameters(for: configuration, isHostInterpreting: true).values
        #expect(interpreted == native.dropLast() + InterpretedHost.kernelParameters + ["image=1"])
        configuration.bootSource?.isCommandLineComplete = true
        #expect(KernelParameters(for: configuration, isHostInterpreting: true).values == [])
    }

    @Test(
        arguments: [
            ("init=/sbin/httpd -- root=/srv/www quiet reboot=x", true), ("init=\"/bin/sh root=x\"", true),
            ("root=/dev/vdb", false), ("\"root=/dev/vd b\"", false), ("a=\"b\" root=LABEL=x -- y", false),
        ]
    )
    func `words of init's, behind -- or in quotes, are no kernel parameters`(line: String, namesRoot: Bool) {
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "kernel"))
        configuration.drives = [Drive("disk", path: "disk", isRoot: true)]
        configuration.bootSource?.commandLine = line
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
