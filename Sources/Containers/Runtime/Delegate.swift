// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage

/// The host's own OCI runtime.
enum Delegate {
    /// The variable that names it.
    static let variable = "MARTLET_OCI_RUNTIME"

    static func find() throws(RuntimeProblem) -> FilePath {
        if let named = ProcessArguments.environment(variable) { return FilePath(hostText: named) }
        for name in ["runc", "crun"] {
            if let path = HostProgram.find(name) { return path }
        }
        throw RuntimeProblem(
            "martlet-runtime needs runc or crun, and neither is there: install one, or set \(variable)"
        )
    }

    /// Becomes it.
    ///
    /// - Returns: Why that is not possible; it does not return else.
    static func replaceThisProcess(_ arguments: [String]) throws(RuntimeProblem) -> RuntimeProblem {
        let program = try find()
        return RuntimeProblem("cannot run \(program): \(HostProgram.replaceThisProcess(by: program, arguments))")
    }
}
