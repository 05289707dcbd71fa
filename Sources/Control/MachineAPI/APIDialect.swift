// SPDX-License-Identifier: Apache-2.0

import Host

/// The program that an API's clients expect behind its socket.
package enum APIDialect: Sendable {
    /// Martlet: unknown settings are refused, so that none is lost silently.
    case martlet
    /// Firecracker: everything that Firecracker accepts is accepted, and answers have its form.
    case firecracker

    /// The dialect of this process, by the name under which it was started.
    package static var ofThisProcess: APIDialect {
        ProcessArguments.standsInForFirecracker ? .firecracker : .martlet
    }

    /// The name and version of the program in its log.
    var program: String {
        switch self {
        case .martlet: "\(APIVersion.name) v\(APIVersion.martlet)"
        case .firecracker: "Firecracker v\(APIVersion.firecracker)"
        }
    }
}

/// The identity of this program, for clients that ask.
package enum APIVersion {
    package static let name = "Martlet"
    package static let martlet = MartletVersion.text
    /// The version of Firecracker's API that Martlet follows.
    package static let firecracker = "1.17.0"
}
