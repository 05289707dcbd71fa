// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

extension RuntimeFolder {
    /// The number of bytes that the logs of ended machines may have together, where the file system is large.
    package static let logLimit = 64 << 20
    /// The number of bytes that stay of each log beyond that: the last words.
    package static let logRest = 64 << 10

    /// Cuts the logs of machines that have ended, the longest ended first: they must not fill the file system, which is often
    /// in memory.
    ///
    /// - Parameter limit: The bytes that they may have together; an eighth of the file system where that is less.
    /// - Throws: `RegistryError` where the folder cannot be read.
    package func trimLogs(limit: Int = logLimit) throws(RegistryError) {
        var status = statvfs()
        var left = limit
        if unsafe path.withPlatformString({ unsafe statvfs($0, &status) }) == 0 {
            left = min(
                left,
                Int(
                    clamping: UInt64(status.f_blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize))
                        .partialValue / 8
                )
            )
        }
        let ended = try machines().compactMap { folder -> (OpenMachine, time: Int)? in
            guard let machine = try? folder.open(), !machine.isAlive else { return nil }
            return (machine, machine.status(of: .consoleLog)?.st_mtim.tv_sec ?? 0)
        }
        for (machine, _) in ended {
            for item in [MachineFolder.Item.consoleLog, .monitorLog] { machine.releaseReserve(of: item) }
        }
        for (machine, _) in ended.sorted(by: { $0.time > $1.time }) {
            for item in [MachineFolder.Item.consoleLog, .olderConsoleLog] {
                guard let size = machine.status(of: item)?.size else { continue }
                left -= Int(size)
                if left < 0 { Self.cut(item, of: machine) }
            }
        }
    }

    private static func cut(_ item: MachineFolder.Item, of machine: OpenMachine) {
        let path = machine.folder.path(item)
        guard item == .consoleLog else {
            path.removeFile()
            return
        }
        guard let size = machine.status(of: item)?.size, size > logRest,
            let file = try? machine.openFile(item), lseek(file.rawValue, off_t(size) - off_t(logRest), SEEK_SET) >= 0,
            let rest = try? FileContents.bytes(of: file.borrowed, limit: logRest)
        else { return }
        path.removeFile()
        // On a full file system, now is the moment when there is room again.
        if let draft = try? DraftFile(in: machine.folder.path) {
            try? draft.descriptor.write(all: rest)
            try? draft.publish(as: path, isDurable: false)
        }
    }
}
