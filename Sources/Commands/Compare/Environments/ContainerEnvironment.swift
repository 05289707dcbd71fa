// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage

/// Programs in containers, by the runtime that works here.
final class ContainerEnvironment: ComparedEnvironment {
    let kind = EnvironmentKind.container
    private(set) var provider = ""
    private var runtime: ContainerRuntime
    private let place: Workplace
    private var count = 0

    private var state: String { "\(place.folder.path)/runtime" }

    /// Finds a runtime that can run a container, by running one.
    ///
    /// `wanted` is the only one to try, a name or a path; `nil` for all that are known.
    init(wanted: String?, _ place: Workplace) throws(ComparisonError) {
        self.place = place
        let names = wanted.map { [$0] } ?? ContainerRuntime.known
        let candidates = ContainerRuntime.candidates(names)
        guard let first = candidates.first else {
            throw .unexpected("\(names.joined(separator: " or ")) is not installed: apt-get install crun")
        }
        runtime = first
        var reasons: [String] = []
        for candidate in candidates {
            runtime = candidate
            do {
                let instance = try launch(Job("hello"))
                defer { instance.end() }
                try instance.expectLine("hello", within: 20)
                try instance.waitForEnd(within: 20)
                provider = ([version()] + candidate.remarks).joined(separator: ", ")
                return
            } catch .interrupted(let signal) {
                throw .interrupted(signal: signal)
            } catch {
                let reason = "\(candidate.name): \(error)"
                if !reasons.contains(reason) { reasons.append(reason) }
            }
        }
        throw .unexpected("no container runs here: \(reasons.joined(separator: "; "))")
    }

    /// "crun version 1.8.1" and more lines.
    private func version() -> String {
        guard
            let process = try? place.start([runtime.path, "--version"], messages: "container.log"),
            let line = try? process.readLine(within: 10)
        else { return runtime.name }
        return line.text.split(separator: " ").filter { $0 != "version" }.joined(separator: " ")
    }

    var ownFiles: [(name: String, path: String)] { [("its root file system", place.userSpace.root)] }
    var sharedFiles: [(name: String, path: String)] { [("the runtime, \(runtime.name)", runtime.path)] }

    func launch(_ job: Job) throws(ComparisonError) -> Instance {
        count += 1
        let identifier = "\(WorkFolder.prefix)\(getpid())-\(count)"
        let bundle = "\(place.folder.path)/container\(count)"
        try Files.makeFolder(bundle)
        let data = job.needsData ? "\(bundle)/data" : nil
        if let data { try Files.makeFolder(data) }
        let configuration = ContainerBundle(
            root: place.userSpace.root,
            command: job.command(kind, programsIn: "/bin", dataFolder: "/data"),
            dataFolder: data,
            limits: runtime.hasCGroups ? job.limits : Job.Limits(),
            hasSeccomp: runtime.hasSeccomp,
            networkNamespace: job.network?.containerNamespace
        )
        try Files.write(configuration.configuration.text.utf8, to: "\(bundle)/config.json")
        let process = try place.start(
            (job.network?.launcher ?? []) + runtime.command(["run", "--bundle", bundle, identifier], state: state),
            messages: "container\(count).log",
            withoutCGroup2: runtime.hidesCGroup2
        )
        return Instance(kind: kind, process: process) { [self, weak process] in
            if let process { remove(identifier, process) }
            Files.remove(bundle)
        }
    }

    /// Ends a container and lets the runtime remove what it made, however far it has come.
    private func remove(_ identifier: String, _ process: HostProcess) {
        // Until the runtime has noted the container, nobody can remove it; a runtime that fails ends.
        let deadline = Moment.now + 5
        while !process.hasEnded, !isNoted(identifier), Moment.now < deadline { usleep(2000) }
        if isNoted(identifier) {
            let delete = try? HostProcess(
                runtime.command(["delete", "--force", identifier], state: state),
                messages: "\(place.folder.path)/container.log",
                withoutCGroup2: runtime.hidesCGroup2,
                interruption: .never
            )
            _ = try? delete?.waitForEnd(within: 20)
        }
        process.kill()
        CGroup.remove(named: identifier)
    }

    private func isNoted(_ identifier: String) -> Bool {
        FilePath(hostText: "\(state)/\(identifier)").exists
    }
}
