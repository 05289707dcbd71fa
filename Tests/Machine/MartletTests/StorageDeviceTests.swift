// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

/// Disks of machines whose guests do not use them; `LinuxTests` has one that does.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct StorageDeviceTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// A configuration with a disk at each path.
    private func configuration(_ paths: String...) throws -> MachineConfiguration {
        var configuration = try Machines.configuration([.spin], in: folder)
        configuration.drives = paths.enumerated().map { Drive("disk\($0)", path: $1) }
        return configuration
    }

    @Test func `a machine has its disks in the order of its configuration`() throws {
        let paths = try ["one", "two"].map { try folder.makeSparseFile($0, byteCount: 1 << 20) }
        let disks = try VirtualMachine(configuration: configuration(paths[0], paths[1])).storageDevices
        #expect(disks.map(\.path) == paths)
        #expect(disks.allSatisfy { !$0.isUsedByGuest && $0.statistics.readCount == 0 })
    }

    @Test func `a disk is locked while its machine is there, and no longer`() throws {
        let path = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        var configuration = try configuration(path)
        configuration.drives[0].engine = .threads
        configuration.drives[0].serial = "DATA"
        configuration.drives[0].rateLimit = RateLimit(bytesPerSecond: 1 << 20)
        do {
            let machine = try VirtualMachine(configuration: configuration)
            let error = #expect(throws: MartletError.self) { try VirtualMachine(configuration: configuration) }
            #expect(error?.code == .storage)
            #expect(machine.state == .stopped)
        }
        // A child of this process has a copy until it runs its own program.
        try Deadline.wait(for: "the disk") { (try? VirtualMachine(configuration: configuration)) != nil }
    }

    @Test func `readers share a disk`() throws {
        let path = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        var configuration = try configuration(path)
        configuration.drives[0].isReadOnly = true
        let machines = try (0..<2).map { _ in try VirtualMachine(configuration: configuration) }
        #expect(machines.allSatisfy { $0.state == .stopped })
    }

    @Test func `a disk whose file has grown is found to be larger, once`() throws {
        let path = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        let disk = try #require(VirtualMachine(configuration: configuration(path)).storageDevices.first)
        #expect(!disk.updateSize())
        _ = try folder.makeSparseFile("disk", byteCount: 2 << 20)
        #expect(disk.updateSize())
        #expect(!disk.updateSize())
    }

    @Test func `a disk takes another file, and gives the old one back`() throws {
        let (old, new) = (
            try folder.makeSparseFile("old", byteCount: 1 << 20), try folder.makeSparseFile("new", byteCount: 1 << 20)
        )
        let machine = try VirtualMachine(configuration: configuration(old))
        let disk = try #require(machine.storageDevices.first)
        try disk.replaceImage(with: new)
        #expect(disk.path == new)
        let first = try configuration(old)
        try Deadline.wait(for: "the old file") { (try? VirtualMachine(configuration: first)) != nil }
        let error = #expect(throws: MartletError.self) { try VirtualMachine(configuration: configuration(new)) }
        #expect(error?.code == .storage)
    }

    @Test func `a disk whose new file cannot be used keeps the old one`() throws {
        let path = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        let disk = try #require(VirtualMachine(configuration: configuration(path)).storageDevices.first)
        let error = #expect(throws: MartletError.self) { try disk.replaceImage(with: "/nowhere/disk") }
        #expect(error?.code == .storage)
        #expect(error?.message.contains("/nowhere/disk") == true)
        #expect(#expect(throws: MartletError.self) { try disk.replaceImage(with: path + "\0") }?.code == .storage)
        #expect(disk.path == path)
    }
}
