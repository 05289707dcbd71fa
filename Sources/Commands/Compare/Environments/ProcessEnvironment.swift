// SPDX-License-Identifier: Apache-2.0

/// Programs as plain processes of the host.
final class ProcessEnvironment: ComparedEnvironment {
    let kind = EnvironmentKind.process
    let provider = "this host's kernel"
    private let place: Workplace

    init(_ place: Workplace) {
        self.place = place
    }

    var ownFiles: [(name: String, path: String)] {
        [("the program", "\(place.userSpace.programs)/\(UserSpace.subject)")]
    }
    var sharedFiles: [(name: String, path: String)] { [] }

    func launch(_ job: Job) throws(ComparisonError) -> Instance {
        let data = "\(place.folder.path)/process-data"
        if job.needsData { try Files.makeFolder(data) }
        let command = job.command(kind, programsIn: place.userSpace.programs, dataFolder: data)
        let process = try place.start((job.network?.launcher ?? []) + command, messages: "process.log")
        return Instance(kind: kind, process: process)
    }
}
