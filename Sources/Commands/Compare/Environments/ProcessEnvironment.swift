// SPDX-License-Identifier: Apache-2.0

/// Programs as plain processes of the host.
final class ProcessEnvironment: ComparedEnvironment {
    let kind = EnvironmentKind.process
    let provider = "this host's kernel"
    private let userSpace: UserSpace
    private let folder: WorkFolder
    private let interruption: Interruption

    init(userSpace: UserSpace, folder: WorkFolder, interruption: Interruption) {
        self.userSpace = userSpace
        self.folder = folder
        self.interruption = interruption
    }

    var ownFiles: [(name: String, path: String)] { [("the program", "\(userSpace.programs)/\(UserSpace.subject)")] }
    var sharedFiles: [(name: String, path: String)] { [] }

    func launch(_ job: Job) throws(ComparisonError) -> Instance {
        let data = "\(folder.path)/process-data"
        if job.needsData { try Files.makeFolder(data) }
        let process = try HostProcess(
            (job.network?.launcher ?? []) + job.command(kind, programsIn: userSpace.programs, dataFolder: data),
            messages: "\(folder.path)/process.log",
            interruption: interruption
        )
        return Instance(kind: kind, process: process)
    }
}
