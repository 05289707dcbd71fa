// SPDX-License-Identifier: Apache-2.0

import Martlet
import Testing

struct ConfigurationTests {
    private let loader = LinuxBootLoader(kernelPath: "vmlinux")

    /// The error of a configuration that is valid but for `change`.
    private func refusal(_ change: (inout VirtualMachineConfiguration) -> Void) -> MartletError? {
        var configuration = VirtualMachineConfiguration(bootLoader: loader)
        configuration.storageDevices = [
            DiskImageConfiguration(path: "root.img"), DiskImageConfiguration(path: "data.img"),
        ]
        change(&configuration)
        return #expect(throws: MartletError.self) { try configuration.validate() }
    }

    @Test func `a configuration is valid as it comes`() throws {
        try VirtualMachineConfiguration(bootLoader: loader).validate()
    }

    @Test(arguments: [VirtualMachineConfiguration.minimumAllowedCPUCount, .maximumAllowedCPUCount])
    func `the limits of the number of vCPUs are allowed`(count: Int) throws {
        var configuration = VirtualMachineConfiguration(bootLoader: loader)
        configuration.cpuCount = count
        try configuration.validate()
    }

    @Test func `as many disks as there may be are allowed, one less beside an entropy device`() throws {
        let disk = DiskImageConfiguration(path: "disk.img")
        var configuration = VirtualMachineConfiguration(bootLoader: loader)
        let maximum = VirtualMachineConfiguration.maximumAllowedStorageDeviceCount
        configuration.storageDevices = [DiskImageConfiguration](repeating: disk, count: maximum)
        #expect(#expect(throws: MartletError.self) { try configuration.validate() }?.property == "storageDevices")
        configuration.entropyDevice = nil
        try configuration.validate()
    }

    @Test func `what is wrong is named by its property, and told in words`() {
        typealias Configuration = VirtualMachineConfiguration
        let errors: [(property: String, MartletError?)] = [
            ("bootLoader.kernelPath", refusal { $0.bootLoader.kernelPath = "" }),
            ("bootLoader.kernelPath", refusal { $0.bootLoader.kernelPath = "vmlinux\0.txt" }),
            ("bootLoader.initialRamdiskPath", refusal { $0.bootLoader.initialRamdiskPath = "\0" }),
            ("storageDevices[1].path", refusal { $0.storageDevices[1].path = "root.img\0" }),
            ("bootLoader.commandLine", refusal { $0.bootLoader.commandLine = "quiet\nro" }),
            ("bootLoader.rootFileSystem", refusal { $0.bootLoader.rootFileSystem = .partition("a b") }),
            ("cpuCount", refusal { $0.cpuCount = Configuration.minimumAllowedCPUCount - 1 }),
            ("cpuCount", refusal { $0.cpuCount = Configuration.maximumAllowedCPUCount + 1 }),
            ("memorySize", refusal { $0.memorySize = Configuration.minimumAllowedMemorySize - 4096 }),
            ("memorySize", refusal { $0.memorySize = Configuration.maximumAllowedMemorySize + (1 << 30) }),
            ("memorySize", refusal { $0.memorySize += 1 }),
            (
                "storageDevices",
                refusal { $0.storageDevices += $0.storageDevices + Array(repeating: $0.storageDevices[0], count: 20) }
            ),
            ("storageDevices[0].path", refusal { $0.storageDevices[0].path = "" }),
            ("storageDevices[1].identifier", refusal { $0.storageDevices[1].identifier = "with a space" }),
            ("storageDevices[1].queueCount", refusal { $0.storageDevices[1].queueCount = 0 }),
        ]
        for (property, error) in errors {
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.property == property)
            #expect(error?.message.isEmpty == false)
            #expect(error?.description.hasPrefix(property + ": ") == true)
        }
    }

    @Test func `an error has a code for programs and words for people`() {
        #expect("\(MartletError.Code.invalidConfiguration)" == "invalidConfiguration")
        let error = refusal { $0.cpuCount = 33 }
        #expect(error?.message == "a machine has 1 to 32 vCPUs, not 33")
        #expect(error.map { "\($0)" } == "cpuCount: a machine has 1 to 32 vCPUs, not 33")
    }

    @Test func `a limit by rates is one by buckets that a second fills`() {
        let limit = RateLimit(bytesPerSecond: 1000, operationsPerSecond: 10)
        #expect(limit == RateLimit(bytes: .init(capacity: 1000), operations: .init(capacity: 10)))
        #expect(limit.bytes?.refillTime == .seconds(1))
        #expect(RateLimit().bytes == nil)
    }
}

extension Int {
    fileprivate static var maximumAllowedCPUCount: Int { VirtualMachineConfiguration.maximumAllowedCPUCount }
}
