// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import GuestMemory
import Host
import JSON
import KVM
import Logging
@testable import Machine
import MachineModel
import Platform
import SystemPackage
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct DeviceManagerTests {
    private let folder: TemporaryFolder
    private var configuration: MachineConfiguration

    init() throws {
        folder = try TemporaryFolder()
        configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "/kernel"))
        configuration.size.memoryMiB = 16
        for name in ["first", "second"] {
            let path = try folder.write([UInt8](repeating: 0, count: 4096), to: name)
            // Two machines of this process have it.
            configuration.drives.append(Drive(name, path: path, isReadOnly: true))
        }
    }

    private func makeDevices(_ configuration: MachineConfiguration) throws -> DeviceManager {
        let memory = try GuestMemory(byteCount: configuration.size.memoryByteCount)
        let vm = try KVMSystem().makeVirtualMachine()
        try vm.makeInterruptControllers()
        var resources = PlatformResources()
        return try DeviceManager(
            configuration,
            resources: &resources,
            vm: vm,
            memory: memory,
            console: MachineConsole(),
            timers: WorkThread("timers"),
            logger: Logger(label: "test")
        ) { _ in }
    }

    @Test func `devices are known by name, and have windows and lines in the order of the description`() throws {
        let devices = try makeDevices(configuration)
        #expect(devices.attached.map(\.id) == ["vda", "vdb", "entropy"])
        #expect(devices.attached.map(\.resources.window) == [0xd000_0000, 0xd000_1000, 0xd000_2000])
        #expect(devices.attached.map(\.resources.gsi) == [5, 6, 7])
        #expect(devices.attached("vdb")?.id == "vdb")
        #expect(devices.attached("vdc") == nil)
    }

    @Test func `the state of all devices is a plain value, and other devices go on from it`() throws {
        let devices = try makeDevices(configuration)
        devices.legacy.power.pressPowerButton()
        _ = devices.legacy.keyboardController.pressCtrlAltDelete()
        let state = devices.saveState()
        #expect(state.power.pendingEvents == 1)
        let text = try JSONValue(encoding: state)
        #expect(try text.decode(as: DeviceManagerState.self) == state)
        let others = try makeDevices(configuration)
        #expect(others.saveState() != state)
        try others.restore(state)
        var restored = others.saveState()
        // The clock has looked at the time since.
        restored.clock.evaluatedUntil = state.clock.evaluatedUntil
        #expect(restored == state)
    }

    @Test func `a state of other devices is refused in words`() throws {
        let state = try makeDevices(configuration).saveState()
        var other = configuration
        other.drives.removeLast()
        let devices = try makeDevices(other)
        let error = #expect(throws: MachineError.self) { try devices.restore(state) }
        #expect(error.map { "\($0)" }?.contains("vda, vdb, entropy") == true)
    }
}
