// SPDX-License-Identifier: Apache-2.0

/// The program to run in an environment.
struct Job {
    /// A word of a command line.
    enum Word: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
        case text(String)
        /// The folder for data, which each environment has at another place.
        case dataFolder
        /// The server of the network, which each environment has at another address.
        case serverAddress

        init(stringLiteral text: String) { self = .text(text) }
    }

    /// The limits of an environment.
    struct Limits {
        var memoryByteCount: Int?
        var processCount: Int?
    }

    /// A program of the user space, `subject` or `workload`.
    var program = UserSpace.subject
    var arguments: [Word] = []
    var needsData = false
    var limits = Limits()
    /// The network that it is to have; `nil` for none.
    var network: ComparedNetwork?
    /// Indicates whether it is to run as one of many: a machine in the smaller process that machines with a name have.
    var isOneOfMany = false

    /// A job of the program that is made for comparing.
    init(_ arguments: Word..., needsData: Bool = false, limits: Limits = Limits(), isOneOfMany: Bool = false) {
        self.arguments = arguments
        self.needsData = needsData
        self.limits = limits
        self.isOneOfMany = isOneOfMany
    }

    /// A program of the user space, without arguments.
    init(program: String) {
        self.program = program
    }

    /// The command line in an environment where programs are in `folder` and data in `dataFolder`.
    func command(_ kind: EnvironmentKind, programsIn folder: String, dataFolder: String) -> [String] {
        ["\(folder)/\(program)"]
            + arguments.map { word in
                switch word {
                case .text(let text): text
                case .dataFolder: dataFolder
                case .serverAddress: ComparedNetwork.serverAddress(kind)
                }
            }
    }
}
