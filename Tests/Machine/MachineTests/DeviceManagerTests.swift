// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Glibc
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
import Virtio

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

    @Test func `network interfaces and vsock come behind all others, and leave nothing behind`() throws {
        var configuration = configuration
        let path = "\(folder.path)/v.sock"
        configuration.vsock = Vsock(path: path)
        let peer = try SocketPair(SOCK_STREAM)
        configuration.networkInterfaces = [NetworkInterface("net")]
        configuration.networkInterfaces[0].backend = .fd
        configuration.networkInterfaces[0].descriptors = [Int(peer.backendNumber)]
        configuration.networkInterfaces[0].guestMAC = "06:00:ac:10:00:02"
        let devices = try makeDevices(configuration)
        #expect(devices.attached.map(\.id) == ["vda", "vdb", "entropy", "eth0", "vsock"])
        #expect("\(devices.interfaces[0].device.address)" == "06:00:ac:10:00:02")
        #expect(try folder.names().contains("v.sock"))
        let state = devices.saveState()
        devices.stop()
        #expect(try !folder.names().contains("v.sock"))
        let others = try makeDevices(configuration)
        try others.restore(state)
        #expect(others.saveState().attached == state.attached)
    }

    @Test func `what the host does not have is said with the device's name`() throws {
        var configuration = configuration
        configuration.networkInterfaces = [NetworkInterface("net", hostDeviceName: "no-such-tap")]
        var error = #expect(throws: MachineError.self) { try makeDevices(configuration) }
        #expect(error.map { "\($0)" }?.hasPrefix("eth0: there is no network interface no-such-tap") == true)
        configuration.networkInterfaces = []
        configuration.vsock = Vsock(path: "\(folder.path)/nowhere/v.sock")
        error = #expect(throws: MachineError.self) { try makeDevices(configuration) }
        #expect(error.map { "\($0)" }?.hasPrefix("vsock: ") == true)
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
