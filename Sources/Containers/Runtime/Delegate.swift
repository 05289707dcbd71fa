// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import RootImage
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
        ProcessStart.undo()
        let pointers = unsafe ([program.hostText] + arguments).map { unsafe strdup($0.hostCString) } + [nil]
        _ = unsafe program.withPlatformString { unsafe execv($0, pointers) }
        return RuntimeProblem("cannot run \(program): \(Errno(rawValue: errno))")
    }
}
