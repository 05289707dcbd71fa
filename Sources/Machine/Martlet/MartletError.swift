// SPDX-License-Identifier: Apache-2.0

import Machine
import MachineModel

/// The reason why something could not be done: a code for programs, and words for people.
public struct MartletError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of an error.
    ///
    /// There may be more in later versions, so a `switch` needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case invalidConfiguration, hypervisor, memory, boot, storage, network, snapshot, resources, alreadyStarted
            case notRunning, consoleClosed, guestExecution, `internal`
        }

        private let kind: Kind

        private init(_ kind: Kind) {
            self.kind = kind
        }

        /// The configuration is invalid: ``MartletError/field`` names the field.
        public static let invalidConfiguration = Code(.invalidConfiguration)
        /// KVM is missing, may not be opened, or refused an operation.
        public static let hypervisor = Code(.hypervisor)
        /// The host does not give the guest's memory.
        public static let memory = Code(.memory)
        /// The kernel or the initial RAM disk cannot be loaded.
        public static let boot = Code(.boot)
        /// A disk's file cannot be used.
        public static let storage = Code(.storage)
        /// The host's side of a network, or the socket of a vsock, is not available.
        public static let network = Code(.network)
        /// A snapshot cannot be saved, is damaged, or is of a host that this one cannot take the place of.
        public static let snapshot = Code(.snapshot)
        /// This process has no file descriptor left.
        public static let resources = Code(.resources)
        /// A machine starts once.
        public static let alreadyStarted = Code(.alreadyStarted)
        /// The guest does not run: the machine was not started yet, is paused, or has ended.
        public static let notRunning = Code(.notRunning)
        /// The guest takes nothing more from its console, or the task that sent was cancelled.
        public static let consoleClosed = Code(.consoleClosed)
        /// A vCPU cannot go on: its code or its state is one that the host cannot run.
        public static let guestExecution = Code(.guestExecution)
        /// An error of Martlet's own.
        public static let `internal` = Code(.internal)

        /// The code's name, such as `invalidConfiguration`.
        public var description: String { kind.rawValue }
    }

    /// The kind of the error.
    public let code: Code

    /// The cause and the remedy, for the program's user.
    public let message: String

    /// The field of the configuration that is wrong, as it is named in JSON: `machine-config.vcpu_count`, or
    /// `drives[1].martlet.serial`.
    ///
    /// `nil` for errors that are not the configuration's.
    public let field: String?

    /// The message, after the field if there is one.
    public var description: String {
        field.map { "\($0): \(message)" } ?? message
    }

    init(_ code: Code, _ message: String, field: String? = nil) {
        (self.code, self.message, self.field) = (code, message, field)
    }

    init(_ error: MachineError) {
        if case .configuration(let error) = error {
            self.init(.invalidConfiguration, error.problem, field: error.field)
        } else {
            self.init(Code(of: error), "\(error)")
        }
    }
}

extension MartletError.Code {
    fileprivate init(of error: MachineError) {
        self =
            switch error {
            case .configuration, .consoleFile: .invalidConfiguration
            case .kvm: .hypervisor
            case .memory: .memory
            case .boot: .boot
            case .storage: .storage
            case .network, .vsock: .network
            case .snapshot: .snapshot
            case .descriptor, .threads: .resources
            case .assembly: .internal
            case .startedBefore: .alreadyStarted
            case .notRunning, .notPaused, .typedAt: .notRunning
            case .instruction, .vcpuFailed: .guestExecution
            }
    }
}

/// Calls `body`, whose errors it wraps in `MartletError`.
func inPublicTerms<R>(_ body: () throws(MachineError) -> R) throws(MartletError) -> R {
    do throws(MachineError) {
        return try body()
    } catch {
        throw MartletError(error)
    }
}
