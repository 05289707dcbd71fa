// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import MachineModel

/// A disk as people write it: `root.ext4`, `data.img,readonly,id=DATA`, `/dev/loop0,direct`, `default`.
///
/// A comma of the path is written twice.
struct DiskOption {
    /// Instead of a path: the default guest's root, of which this machine gets a copy of its own.
    static let defaultPath = "default"

    static let help = ArgumentHelp(
        "A disk; the first one is the root, unless the command line names another. May be given 16 times.",
        discussion: """
            A raw image file or a block device: PATH[,readonly][,direct][,id=ID][,engine=auto|io_uring|threads]\
            [,queues=N][,iops=N][,bandwidth=SIZE]; write a comma of PATH twice. 'default' is a copy of the default guest's \
            root. With --restore, PATH,drive=ID replaces the file of the saved machine's disk ID. direct bypasses the host's \
            page cache; id is the serial number that the guest sees; iops and bandwidth (bytes a second: 20M) limit the \
            disk's speed.
            """,
        valueName: "disk"
    )

    /// The disk; without an id, but for one of a saved machine.
    let drive: Drive

    var isDefault: Bool { drive.path == Self.defaultPath }

    /// Reads a disk.
    init(parsing argument: String) throws(OptionProblem) {
        let fields = OptionFields(argument)
        guard !fields.first.isEmpty else { throw OptionProblem("the path of the disk is missing") }
        var drive = Drive("", path: fields.first)
        var (iops, bandwidth): (UInt64?, UInt64?) = (nil, nil)
        for field in fields.rest {
            switch (field.name, field.value) {
            case ("readonly", nil), ("ro", nil): drive.isReadOnly = true
            case ("direct", nil): drive.isDirect = true
            case ("drive", let value?): drive.id = value
            case ("id", let value?): drive.serial = value
            case ("engine", let value?): drive.engine = try Self.engine(value)
            case ("queues", let value?): drive.queueCount = Int(try field.number(value))
            case ("iops", let value?): iops = try field.number(value)
            case ("bandwidth", let value?): bandwidth = try field.size(value)
            default:
                throw OptionProblem(
                    "unknown disk option '\(field)'; valid options are readonly, direct, id=, engine=, queues=, "
                        + "iops=, bandwidth= and drive="
                )
            }
        }
        if iops != nil || bandwidth != nil {
            drive.rateLimit = RateLimit(bytesPerSecond: bandwidth, operationsPerSecond: iops)
        }
        self.drive = drive
    }

    /// An engine of disks; `nil` for the best one that the host has.
    private static func engine(_ text: String) throws(OptionProblem) -> Drive.Engine? {
        switch text {
        case "auto": nil
        case "io_uring": .ioUring
        case "threads": .threads
        default: throw OptionProblem("unknown engine '\(text)'; valid engines are auto, io_uring and threads")
        }
    }
}
