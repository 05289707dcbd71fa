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
            "martlet-runtime needs runc or crun, and neither is installed: install one, or set \(variable)"
        )
    }

    /// Becomes it.
    ///
    /// - Returns: The error; does not return on success.
    static func replaceThisProcess(_ arguments: [String]) throws(RuntimeProblem) -> RuntimeProblem {
        let program = try find()
        return RuntimeProblem("cannot run \(program): \(HostProgram.replaceThisProcess(by: program, arguments))")
    }
}
