// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host

/// The processes of the host, as `/proc` shows them.
enum ProcessTable {
    /// A process and all that come from it.
    static func descendants(of process: pid_t) -> [pid_t] {
        var children: [pid_t: [pid_t]] = [:]
        for name in Files.names(in: "/proc") {
            guard let one = pid_t(name), let parent = parent(of: one) else { continue }
            children[parent, default: []].append(one)
        }
        var found = [process]
        var index = 0
        while index < found.count {
            found += children[found[index]] ?? []
            index += 1
        }
        return found
    }

    /// Kills processes, and no stranger that has got the number of one that ended meanwhile.
    ///
    /// - Parameter list: Lists them. A number that is listed before a pidfd is opened for it and after is that process's.
    static func kill(_ list: () -> [pid_t]) {
        let handles = list().compactMap { try? RunningProcess(id: $0) }
        let remaining = Set(list())
        for handle in handles where remaining.contains(handle.id) { try? handle.send(SIGKILL) }
    }

    static func parent(of process: pid_t) -> pid_t? {
        // "pid (name) state parent": the name may hold anything, also parentheses.
        guard let text = try? Files.text("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let words = text[text.index(after: end)...].split(separator: " ")
        return words.count > 1 ? pid_t(words[1]) : nil
    }
}
