// SPDX-License-Identifier: Apache-2.0

import Host
import MachineModel
import SystemPackage

/// The guest of a container: the default guest's kernel with an init and an agent alone.
enum ContainerGuest {
    /// Describes the guest; disks, memory and vsock are the caller's.
    ///
    /// - Parameter vcpuCount: More than one takes the kernel that can use them.
    /// - Returns: A description with kernel, initial RAM disk and parameters.
    /// - Throws: `DefaultGuest.NotFound`, `.Untrusted`.
    static func configuration(vcpuCount: Int) throws -> MachineConfiguration {
        let guest = try DefaultGuest.find(vcpuCount: vcpuCount)
        let initrd = guest.kernel.parent.appending("container.cpio")
        var source = BootSource(kernelPath: guest.kernel.hostText)
        source.initrdPath = initrd.hostText
        source.imageParameters = (guest.parameters + ["martlet.shell=off"]).joined(separator: " ")
        var configuration = MachineConfiguration(bootSource: source)
        configuration.entropy = EntropySource()
        configuration.size.hasSnapshotPoint = true
        configuration.size.vcpuCount = vcpuCount
        return configuration
    }
}
