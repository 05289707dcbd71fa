// SPDX-License-Identifier: Apache-2.0

import Machine
// The description of a machine is part of this library: a program imports `Martlet` alone.
@_exported public import MachineModel

extension MachineConfiguration {
    /// The most memory of a machine in MiB.
    ///
    /// It may be more than the host has: the machine ends when its guest uses more than is free.
    public static var maximumMemoryMiB: Int { addressedMiB }

    /// The largest number of disks; one less where there is an ``entropy`` source.
    public static var maximumDriveCount: Int { deviceCapacity }

    /// Checks all that can be checked without opening a file: the description itself, and whether a machine has room for it.
    ///
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/invalidConfiguration``, which says how to correct it, and
    ///   where: ``MartletError/field``.
    public func validateOnThisHost() throws(MartletError) {
        try inPublicTerms { () throws(MachineError) in try validateForHost() }
    }
}
