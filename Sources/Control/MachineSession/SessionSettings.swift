// SPDX-License-Identifier: Apache-2.0

package import Console
package import GuestAgent
package import Host
package import Machine
package import MachineAPI
package import MachineModel
package import SystemPackage

/// The way in which a process runs its machine: console, control socket and messages.
package struct SessionSettings: Sendable {
    /// The places that a console may lead to.
    package enum Console: Sendable {
        /// Standard output and input.
        case standard
        /// Nowhere but to viewers and the file that the configuration names.
        case none
    }

    /// The readers of messages.
    package enum Audience: Sendable {
        /// A user at standard error; log messages have the same form.
        case user
        /// A program or the machine's folder: everything is a line of the log.
        case log
    }

    /// The name of the machine in its log and its API.
    package var identifier = MachineService.defaultIdentifier
    package var console = Console.standard
    /// The key before console commands; only a terminal's keys are looked at.
    package var escape = EscapeFilter(prefix: nil)
    package var audience = Audience.user
    /// Indicates whether the log tells more than warnings, unless the configuration chooses a level.
    package var isVerbose = false
    package var apiSocket: FilePath?
    /// A socket that listens already, at `apiSocket`.
    package var listeningDescriptor: CInt?
    /// The file for the guest's output, for machines with a folder.
    package var consoleLog: FilePath?
    /// Indicates whether the process ends when the last client leaves a machine that was not started.
    package var endsWhenUnused = false
    /// Indicates whether a machine that has a description starts at once.
    package var startsMachine = true
    /// The destination and level of messages, in place of the configuration's choice.
    package var logger: LoggerSettings?
    /// The file of counters, in place of the configuration's choice.
    package var metrics: MetricsSettings?
    /// The program that clients expect behind the API's socket.
    package var dialect = APIDialect.martlet
    /// The rights that the process gives away before its guest runs.
    package var sandbox = Sandbox.Settings()
    /// The largest body of a request in bytes; `nil` for the usual one.
    package var requestByteLimit: Int?
    /// The first data of the metadata service, as JSON.
    package var metadataFile: FilePath?
    /// The limit of the metadata service's data in bytes of JSON; `nil` for that of a request's body.
    package var metadataLimit: Int?
    /// The time that the process took to come here.
    package var startTime = StartTime()
    /// Notes for the user on the settings, for the log.
    package var warnings: [String] = []
    /// Descriptors of this process that stand for paths of the configuration.
    package var descriptors: [String: CInt] = [:]

    /// The program in the guest that the machine runs for; `nil` for an ordinary guest.
    package var program: MachineProgram?
    /// The pod that the machine is there for; its containers come and go.
    package var pod: PodSettings?

    /// Called when the machine is made, just before its guest runs.
    package var prepare: (@Sendable (VirtualMachine) -> Void)?
    /// The folder in which `prepare` has the machine saved later.
    package var savedBeneath: FilePath?

    package init() {}

    /// Has the machine saved, for others, when its guest has booted.
    ///
    /// - Parameters:
    ///   - path: The folder of the snapshot.
    ///   - isStopping: Whether the machine is there for nothing else.
    package mutating func saveTemplate(at path: FilePath, thenStops isStopping: Bool = false) {
        prepare = { $0.saveAsTemplate(at: path, thenStops: isStopping) }
        savedBeneath = path.parent
    }
}
