// SPDX-License-Identifier: Apache-2.0

import Martlet
import Testing

/// Tests of the library's additions to a machine's description; `MachineModelTests` has the description itself.
struct ConfigurationTests {
    private var configuration: MachineConfiguration {
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "vmlinux"))
        configuration.drives = [Drive("root", path: "root.img", isRoot: true), Drive("data", path: "data.img")]
        return configuration
    }

    /// The error of a configuration that is valid but for `change`.
    private func refusal(_ change: (inout MachineConfiguration) -> Void) -> MartletError? {
        var configuration = configuration
        change(&configuration)
        return #expect(throws: MartletError.self) { try configuration.validateOnThisHost() }
    }

    @Test func `a configuration is valid as it comes`() throws {
        try configuration.validate()
        try configuration.validateOnThisHost()
    }

    @Test func `what is wrong is named by its field, and told in words`() {
        let errors: [(field: String, MartletError?)] = [
            ("boot-source.kernel_image_path", refusal { $0.bootSource?.kernelPath = "vmlinux\0.txt" }),
            ("boot-source.boot_args", refusal { $0.bootSource?.commandLine = "quiet\nro" }),
            ("machine-config.vcpu_count", refusal { $0.size.vcpuCount = MachineSize.vcpuCounts.upperBound + 1 }),
            ("machine-config.mem_size_mib", refusal { $0.size.memoryMiB = MachineConfiguration.maximumMemoryMiB + 1 }),
            ("machine-config.mem_size_mib", refusal { $0.size.memoryMiB = MachineSize.minimumMemoryMiB - 1 }),
            (
                "drives",
                refusal { configuration in
                    let count = MachineConfiguration.maximumDriveCount
                    configuration.drives = (0..<count).map { Drive("disk\($0)", path: "disk") }
                }
            ),
            ("drives[1].martlet.serial", refusal { $0.drives[1].serial = "with a space" }),
        ]
        for (field, error) in errors {
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.field == field)
            #expect(error?.message.isEmpty == false)
            #expect(error?.description.hasPrefix(field + ": ") == true)
        }
    }

    @Test func `an error has a code for programs and words for people`() {
        #expect("\(MartletError.Code.invalidConfiguration)" == "invalidConfiguration")
        let error = refusal { $0.size.vcpuCount = 33 }
        #expect(error?.message == "must be 1 to 32, not 33")
        #expect(error.map { "\($0)" } == "machine-config.vcpu_count: must be 1 to 32, not 33")
    }

    @Test func `a limit by rates is one by buckets that a second fills`() {
        let limit = RateLimit(bytesPerSecond: 1000, operationsPerSecond: 10)
        #expect(limit == RateLimit(bytes: .init(capacity: 1000), operations: .init(capacity: 10)))
        #expect(limit.bytes?.refillMilliseconds == 1000)
        #expect(RateLimit().bytes == nil)
    }
}
