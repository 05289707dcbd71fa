// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineModel
import Testing

@Suite struct MachineConfigurationTests {
    private static let everything = """
        {"boot-source":{"kernel_image_path":"k","initrd_path":"i","boot_args":"quiet","martlet":\
        {"entry":"pvh","image_args":"a b","complete_boot_args":true}},"drives":[{"drive_id":"root","path_on_host":"r",\
        "is_root_device":true,"partuuid":"12-ab","is_read_only":true,"cache_type":"Writeback","io_engine":"Async",\
        "rate_limiter":{"bandwidth":{"size":5,"refill_time":10,"one_time_burst":0},"ops":{"size":6,"refill_time":20,\
        "one_time_burst":7}},"martlet":{"direct":true,"serial":"S1","queues":4}}],"machine-config":{"vcpu_count":2,\
        "mem_size_mib":64,"huge_pages":"None","smt":false,"track_dirty_pages":false,"martlet":{"exit_status_port":true}},\
        "network-interfaces":[{"iface_id":"eth0","host_dev_name":"tap0","guest_mac":"06:00:AC:10:00:02","mtu":1400,\
        "rx_rate_limiter":{"ops":{"size":6,"refill_time":20,"one_time_burst":7}},"tx_rate_limiter":{},\
        "martlet":{"queues":2,"fd":[],"address":"10.0.0.2/24","gateway":"10.0.0.1","dns":"none","forwards":[],\
        "host_loopback":false}}],"vsock":{"guest_cid":7,"uds_path":"v","vsock_id":"v"},\
        "entropy":{},"serial":{"serial_out_path":"s"},"logger":{"log_path":"l","level":"Warning","show_level":true,\
        "show_log_origin":false,"module":"M"},"metrics":{"metrics_path":"m","emit_id":true,"properties":{"a":"b"}}}
        """

    private func decode(_ text: String) throws -> MachineConfiguration {
        try JSONValue(parsing: Array(text.utf8)).decode()
    }

    private func problem(_ change: (inout MachineConfiguration) -> Void) -> String? {
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "vmlinux"))
        configuration.drives = [Drive("root", path: "root.img", isRoot: true), Drive("data", path: "data.img")]
        change(&configuration)
        do throws(ConfigurationError) {
            try configuration.validate()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `a description that is written is read as the same one`() throws {
        let configuration = try decode(Self.everything)
        let json = try JSONValue(encoding: configuration)
        #expect(json == (try JSONValue(parsing: Array(Self.everything.utf8))))
        #expect(try decode(json.prettyText) == configuration)
        #expect(problem { $0 = configuration } == nil)
    }

    @Test func `everything but the kernel may be left out or null`() throws {
        let least = try decode(#"{"boot-source":{"kernel_image_path":"k"}}"#)
        #expect(least.size == MachineSize(vcpuCount: 1, memoryMiB: 128))
        #expect(least.drives.isEmpty && least.entropy == nil && least.serial == nil)
        let null =
            #"{"boot-source":{"kernel_image_path":"k","martlet":null},"drives":null,"machine-config":null,"entropy":null}"#
        #expect(try decode(null) == least)
        #expect(try JSONValue(encoding: least).text.contains("martlet") == false)
    }

    @Test func `settings that Firecracker does not have are there only while they differ from their default`() {
        var drive = Drive("a", path: "a")
        drive.isDirect = true
        drive.queueCount = 2
        #expect(drive.martlet?.queueCount == 2)
        drive.isDirect = false
        drive.queueCount = 1
        #expect(drive == Drive("a", path: "a"))
        #expect(drive.martlet == nil)
    }

    @Test func `a wrong value is named by its field, with the right ones`() {
        let errors: [(String, String?)] = [
            ("boot-source: is missing", problem { $0.bootSource = nil }),
            ("boot-source.kernel_image_path: must be a path, and is empty", problem { $0.bootSource?.kernelPath = "" }),
            ("boot-source.initrd_path: must be a path without U+0000", problem { $0.bootSource?.initrdPath = "i\0" }),
            ("machine-config.vcpu_count: must be 1 to 32, not 33", problem { $0.size.vcpuCount = 33 }),
            ("machine-config.vcpu_count: must be 1 to 32, not 0", problem { $0.size.vcpuCount = 0 }),
            (
                "machine-config.mem_size_mib: a guest needs at least 16 MiB of memory, not 15 MiB",
                problem { $0.size.memoryMiB = 15 }
            ),
            (
                "machine-config.huge_pages: Martlet does not offer hugetlbfs pages",
                problem { $0.size.hugePages = .explicit }
            ),
            ("drives[1].path_on_host: must be a path, and is empty", problem { $0.drives[1].path = "" }),
            (
                "drives[0].partuuid: must be hexadecimal digits and hyphens, not 'a z'",
                problem { $0.drives[0].partitionID = "a z" }
            ),
            ("drives[1].martlet.queues: must be 1 to 16, not 17", problem { $0.drives[1].queueCount = 17 }),
            (
                "drives[1].martlet.serial: must be 1 to 20 printable ASCII characters without spaces, not 'a b'",
                problem { $0.drives[1].serial = "a b" }
            ),
            ("drives[1]: there is a drive 'root' already", problem { $0.drives[1].id = "root" }),
            ("drives[1]: a root block device already exists: 'root'", problem { $0.drives[1].isRoot = true }),
        ]
        for (expected, found) in errors { #expect(found == expected) }
    }

    @Test(arguments: ["", "a-b", "a b", "ä", "a/b"])
    func `an id of a disk is letters, digits and underscores`(id: String) {
        #expect(
            problem { $0.drives[1].id = id }?.hasPrefix("drives[1].drive_id: API Resource IDs can only contain") == true
        )
    }

    @Test func `the guest finds the root disk first`() {
        var configuration = MachineConfiguration()
        configuration.drives = [Drive("a", path: "a"), Drive("b", path: "b", isRoot: true), Drive("c", path: "c")]
        #expect(configuration.orderedDrives.map(\.id) == ["b", "a", "c"])
        configuration.set(Drive("a", path: "x"))
        configuration.set(Drive("d", path: "d"))
        #expect(configuration.drives.map(\.path) == ["x", "b", "c", "d"])
    }

    @Test func `every path of a file of the host's is mapped`() throws {
        var configuration = try decode(Self.everything)
        configuration.mapPaths { "/\($0)" }
        let text = try JSONValue(encoding: configuration).text
        for path in ["k", "i", "r", "s", "l", "m"] { #expect(text.contains("\"/\(path)\"")) }
    }

    // MARK: - Changes

    @Test func `a bucket that a change of a disk leaves out stays`() throws {
        var drive = Drive("a", path: "a")
        drive.rateLimit = RateLimit(bytesPerSecond: 1000, operationsPerSecond: 50)
        func change(_ text: String) throws -> RateLimit? {
            var changed = drive
            let body = #"{"drive_id":"a","rate_limiter":\#(text)}"#
            try JSONValue(parsing: Array(body.utf8)).decode(as: DriveChange.self).apply(to: &changed)
            return changed.rateLimit
        }
        #expect(try change("{}") == drive.rateLimit)
        #expect(try change("null") == drive.rateLimit)
        let bandwidth = try change(#"{"bandwidth":{"size":5,"refill_time":100}}"#)
        #expect(bandwidth?.bytes == RateLimit.Bucket(capacity: 5, refillMilliseconds: 100))
        #expect(bandwidth?.operations == drive.rateLimit?.operations)
        let off = try change(#"{"ops":{"size":0,"refill_time":0}}"#)
        #expect(off?.operations == nil)
        #expect(off?.bytes == drive.rateLimit?.bytes)
    }

    @Test func `a change of the size leaves alone what it does not name`() throws {
        var size = MachineSize(vcpuCount: 2, memoryMiB: 64)
        size.hasExitStatusPort = true
        func change(_ text: String) throws {
            try JSONValue(parsing: Array(text.utf8)).decode(as: MachineSizeChange.self).apply(to: &size)
        }
        try change(#"{"vcpu_count":3,"martlet":{}}"#)
        #expect(size.vcpuCount == 3 && size.memoryMiB == 64 && size.hasExitStatusPort)
        try change(#"{"mem_size_mib":32,"martlet":{"exit_status_port":false}}"#)
        #expect(size == MachineSize(vcpuCount: 3, memoryMiB: 32))
        #expect(throws: JSONError.self) { try change(#"{"cpus":1}"#) }
    }

    @Test(arguments: [("warn", LoggerSettings.Level.warning), ("INFO", .info), ("Off", .off)])
    func `a level may be written in upper or lower case`(name: String, level: LoggerSettings.Level) throws {
        let settings = try JSONValue.object(["level": .string(name)]).decode(as: LoggerSettings.self)
        #expect(settings.level == level)
    }

    @Test func `a level that is none is refused with those that there are`() {
        let error = #expect(throws: JSONError.self) {
            try JSONValue.object(["level": "loud"]).decode(as: LoggerSettings.self, named: "logger")
        }
        #expect(
            error?.description
                == "logger.level: must be one of 'Off', 'Error', 'Warning', 'Info', 'Debug', 'Trace', not 'loud'"
        )
    }
}
