// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Where and when numbers were taken.
struct Host: Encodable {
    let date: String
    let processor: String
    let processorCount: Int
    let kernel: String
    /// The modules of KVM that are loaded.
    let hypervisor: String
    /// Processes that wanted to run in the last minute.
    ///
    /// Where it is far from 0, the times mean little.
    let load: Double

    /// This host, now.
    init() {
        date = Date().formatted(.iso8601)
        let information = (try? readFile("/proc/cpuinfo")) ?? ""
        let name = information.split(separator: "\n").first { $0.hasPrefix("model name") }
        processor = name?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown"
        processorCount = sysconf(CInt(_SC_NPROCESSORS_ONLN))
        let release = (try? readFile("/proc/sys/kernel/osrelease")) ?? ""
        kernel = String(release.prefix { !$0.isNewline })
        let modules = ["kvm_intel", "kvm_amd", "kvm_pvm"].filter { unsafe access("/sys/module/\($0)", F_OK) == 0 }
        hypervisor = modules.isEmpty ? "unknown" : modules.joined(separator: ", ")
        load = ((try? readFile("/proc/loadavg")) ?? "").split(separator: " ").first.flatMap { Double($0) } ?? 0
    }

    /// One line.
    var text: String {
        "\(date), \(processor), \(processorCount) processors, Linux \(kernel), \(hypervisor), load \(load)"
    }
}
