// SPDX-License-Identifier: Apache-2.0

/// The context of all measurements: the environments, the reasons for those that are missing, and a way to report progress.
final class MeasurementContext {
    /// A row before anything is measured.
    struct Plan {
        var title: String
        var unit = Unit.count
        /// Indicates whether a guest's kernel has a part in it, so that an interpreting host distorts the machine's number.
        var involvesGuestKernel = false
        var largerIsBetter = false
        var hasRatio = true
        var note: String?
    }

    let options: ComparisonOptions
    let host: HostDescription
    let place: Workplace
    private(set) var environments: [EnvironmentKind: any ComparedEnvironment] = [:]
    private var problems: [EnvironmentKind: String] = [:]
    var heading = ""
    /// The environments of the topic that is measured.
    private var kinds = EnvironmentKind.allCases
    private let progress: (String) -> Void

    init(
        options: ComparisonOptions,
        host: HostDescription,
        place: Workplace,
        progress: @escaping (String) -> Void
    ) {
        self.options = options
        self.host = host
        self.place = place
        self.progress = progress
    }

    /// Adds an environment, or notes why it is missing.
    func add(
        _ kind: EnvironmentKind,
        _ make: () throws(ComparisonError) -> any ComparedEnvironment
    ) throws(ComparisonError) {
        do throws(ComparisonError) {
            environments[kind] = try make()
        } catch {
            if case .interrupted = error { throw error }
            problems[kind] = "\(error)"
        }
    }

    /// Makes a network for one instance of each environment.
    func makeNetwork() throws(ComparisonError) -> ComparedNetwork {
        try ComparedNetwork(place)
    }

    var columns: [ComparisonResult.Column] {
        EnvironmentKind.allCases.map { kind in
            .init(kind: kind, provider: environments[kind]?.provider ?? "", problem: problems[kind])
        }
    }

    /// The time that one step of an interpreted guest may take, far more than it does.
    static let interpretedPatience = 900.0

    /// The time that one step may take in an environment, far more than it does.
    func patience(_ kind: EnvironmentKind) -> Double {
        kind.isMachine && host.interpretsGuestKernels ? Self.interpretedPatience : 120
    }

    func say(_ kind: EnvironmentKind, _ text: String = "") {
        progress("\(heading): \(kind.name)\(text.isEmpty ? "" : ", \(text)")")
    }

    /// Fills rows, environment by environment.
    ///
    /// - Returns: The rows; where an environment is missing or failed, they say why.
    func rows(
        _ plans: [Plan],
        _ body: (any ComparedEnvironment) throws(ComparisonError) -> [Cell]
    ) throws(ComparisonError) -> [Row] {
        var rows = plans.map { plan in
            Row(
                title: plan.title,
                unit: plan.unit,
                cells: [:],
                note: plan.note,
                largerIsBetter: plan.largerIsBetter,
                hasRatio: plan.hasRatio
            )
        }
        for kind in kinds {
            let cells = try cells(kind, body)
            for index in rows.indices {
                var cell = index < cells.count ? cells[index] : cells.last ?? .missing("not measured")
                if kind.isMachine, host.interpretsGuestKernels, plans[index].involvesGuestKernel, cell.median != nil {
                    cell.isDistorted = true
                }
                rows[index].cells[kind] = cell
            }
        }
        return rows
    }

    private func cells(
        _ kind: EnvironmentKind,
        _ body: (any ComparedEnvironment) throws(ComparisonError) -> [Cell]
    ) throws(ComparisonError) -> [Cell] {
        guard let environment = environments[kind] else { return [.missing("see above")] }
        do throws(ComparisonError) {
            say(kind)
            return try body(environment)
        } catch {
            if case .interrupted = error { throw error }
            return [.missing("\(error)")]
        }
    }

    func section(_ topic: Topic) throws(ComparisonError) -> Section {
        kinds = EnvironmentKind.allCases.filter { $0 != .restored || topic.comparesRestoredMachines }
        return switch topic {
        case .kernel: try KernelFacts(context: self).section()
        case .startup: try StartupMeasurement(context: self).section()
        case .size: try DiskSize(context: self).section()
        case .memory: try MemoryMeasurement(context: self).section()
        case .density: try DensityMeasurement(context: self).section()
        case .cpu: try TimedWork(context: self).processor()
        case .syscalls: try TimedWork(context: self).systemCalls()
        case .disk: try TimedWork(context: self).disk()
        case .network: try TimedWork(context: self).network()
        case .isolation: try IsolationProbes(context: self).section()
        }
    }
}
