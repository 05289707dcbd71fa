// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage

/// One comparison: finds out what this host offers, measures topic after topic, and leaves nothing behind.
package struct Comparison {
    private let options: ComparisonOptions
    private let interruption: Interruption
    private let progress: (String) -> Void

    package init(
        _ options: ComparisonOptions,
        interruption: Interruption,
        progress: @escaping (String) -> Void = { _ in }
    ) {
        self.options = options
        self.interruption = interruption
        self.progress = progress
    }

    /// Measures everything, which takes seconds, and many minutes where guest kernels are interpreted.
    ///
    /// - Returns: The findings; a finding that could not be made has the reason.
    /// - Throws: `ComparisonError`, when nothing at all can be compared or the user wants the end.
    package func run() throws(ComparisonError) -> ComparisonResult {
        try checkPrograms()
        WorkFolder.removeLeftovers()
        let folder = try WorkFolder()
        defer { withExtendedLifetime(folder) {} }
        let place = Workplace(
            userSpace: try UserSpace(images: options.images, workload: options.workload, in: folder),
            folder: folder,
            interruption: interruption
        )
        let host = HostDescription(
            martletVersion: options.martletVersion,
            interpretsGuestKernels: options.interpretsGuestKernels,
            workFolderIsInMemory: folder.isInMemory
        )
        let context = MeasurementContext(
            options: options,
            host: host,
            place: place,
            progress: progress
        )
        try context.add(.process) { () throws(ComparisonError) in
            ProcessEnvironment(place)
        }
        progress("looking for a container runtime")
        try context.add(.container) { () throws(ComparisonError) in
            try ContainerEnvironment(wanted: options.runtime, place)
        }
        let machine = Result { () throws(ComparisonError) in
            try MachineEnvironment(
                images: try options.machine.get(),
                version: options.martletVersion,
                emptyDisk: "\(options.images)/compare-data.ext4",
                place
            )
        }
        try context.add(.machine) { () throws(ComparisonError) in try machine.get() }
        try context.add(.restored) { () throws(ComparisonError) in RestoredEnvironment(of: try machine.get()) }
        var result = ComparisonResult(
            host: host,
            columns: context.columns,
            workload: options.workload,
            repetitions: options.repetitions
        )
        for (index, topic) in options.topics.enumerated() {
            context.heading = "[\(index + 1)/\(options.topics.count)] \(topic.title)"
            result.sections.append(try context.section(topic))
        }
        return result
    }

    private func checkPrograms() throws(ComparisonError) {
        let images = FilePath(hostText: options.images)
        guard images.appending("compare-subject").exists, images.appending("compare-init").exists else {
            throw .unexpected(
                "the programs that are compared are not in \(options.images): run `make guest-images` where Martlet's source is"
            )
        }
        guard let workload = options.workload else { return }
        let bytes = try Files.bytes(workload)
        guard bytes.starts(with: [0x7f] + "ELF".utf8) else {
            throw .unexpected(
                "the workload \(workload) is no ELF program: a script would need its interpreter everywhere"
            )
        }
        guard !ELFProgram.needsInterpreter(bytes) else {
            throw .unexpected(
                "the workload \(workload) is linked to shared libraries; link it statically (gcc -static)"
            )
        }
    }
}
