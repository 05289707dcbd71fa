// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

/// Tests of a boot loader's settings: the guest shows what it was given.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct BootLoaderTests {
    private let folder: TemporaryFolder
    // Offsets in boot_params, where pointers to these are (Linux: Documentation/arch/x86/boot.rst).
    private let commandLinePointer: UInt32 = 0x228
    private let ramdiskPointer: UInt32 = 0x218

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Runs `code` in a guest that then powers off, and returns its output.
    private func output(
        of code: GuestCode,
        _ change: (inout MachineConfiguration) -> Void
    ) async throws -> [UInt8] {
        var configuration = try Machines.configuration([code, .powerOff, .spin], in: folder)
        change(&configuration)
        let machine = try VirtualMachine(configuration: configuration)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        return await machine.console.first(.max)
    }

    /// The command line that a guest is given.
    private func commandLine(_ change: (inout MachineConfiguration) -> Void) async throws -> String {
        let bytes = try await output(of: .dump(behind32BitPointerAt: commandLinePointer, byteCount: 1024), change)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    @Test func `a kernel gets Martlet's parameters, then the user's`() async throws {
        let line = try await commandLine { $0.bootSource?.commandLine = "one two=2" }
        #expect(line.contains("console=ttyS0"))
        #expect(line.hasSuffix(" one two=2"))
    }

    @Test func `a kernel gets nothing but the user's parameters where that is wanted`() async throws {
        let line = try await commandLine { configuration in
            configuration.bootSource?.commandLine = "one two=2"
            configuration.bootSource?.isCommandLineComplete = true
        }
        #expect(line == "one two=2")
    }

    @Test(
        arguments: [
            (true, nil, "root=/dev/vda"), (true, "0badcafe-01", "root=PARTUUID=0badcafe-01"), (false, nil, nil),
        ] as [(Bool, String?, String?)]
    )
    func `a kernel is told of its root file system`(isRoot: Bool, partition: String?, word: String?) async throws {
        let disk = try folder.makeSparseFile("disk", byteCount: 1 << 20)
        let line = try await commandLine { configuration in
            configuration.drives = [Drive("disk", path: disk, isRoot: isRoot, isReadOnly: true)]
            configuration.drives[0].partitionID = partition
        }
        #expect(line.split(separator: " ").first { $0.hasPrefix("root=") }.map(String.init) == word)
    }

    @Test func `an initial RAM disk is in the guest's memory`() async throws {
        let ramdisk = try folder.write(Array("the contents".utf8), to: "ramdisk")
        let bytes = try await output(of: .dump(behind32BitPointerAt: ramdiskPointer, byteCount: 12)) {
            $0.bootSource?.initrdPath = ramdisk
        }
        #expect(bytes == Array("the contents".utf8))
    }

    @Test func `a guest finds its disks, and an entropy device unless there is none`() async throws {
        let paths = try ["one", "two"].map { try folder.makeSparseFile($0, byteCount: 1 << 20) }
        for (device, count) in [(EntropySource(), 3), (nil, 2)] as [(EntropySource?, Int)] {
            let line = try await commandLine { configuration in
                configuration.drives = paths.enumerated().map { Drive("disk\($0)", path: $1, isReadOnly: true) }
                configuration.entropy = device
            }
            #expect(line.split(separator: " ").count { $0.hasPrefix("virtio_mmio.device=") } == count)
        }
    }

    @Test(arguments: [EntryChoice.pvh, .image])
    func `an entry point that the kernel does not have is refused`(entry: EntryChoice) throws {
        var configuration = try Machines.configuration([.spin], in: folder)
        configuration.bootSource?.entry = entry
        let error = #expect(throws: MartletError.self) { try VirtualMachine(configuration: configuration) }
        #expect(error?.code == .boot)
    }
}
