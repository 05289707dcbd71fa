// SPDX-License-Identifier: Apache-2.0

import Glibc
import MachineModel
import Interpreter
import Host
import KVM
import Network
import SystemPackage

/// The abilities of this host for machines, its lacks, and the ways to mend them.
package struct HostReport: Sendable {
    /// The bearing of a finding on machines.
    package enum Verdict: String, Sendable {
        case good = "ok"
        case note
        case bad = "FAIL"
    }

    /// One finding.
    package struct Finding: Sendable {
        package let verdict: Verdict
        package let subject: String
        package let detail: String

        package init(_ verdict: Verdict, _ subject: String, _ detail: String) {
            self.verdict = verdict
            self.subject = subject
            self.detail = detail
        }
    }

    package private(set) var findings: [Finding] = []

    /// Indicates whether a machine can run here.
    package var isUsable: Bool {
        !findings.contains { $0.verdict == .bad }
    }

    /// Examines this host, which takes a few milliseconds.
    package init(path: String = KVMSystem.defaultPath) {
        addProcessor()
        do throws(KVMError) {
            let system = try KVMSystem(path: path)
            add(.good, path, "opens, API version 12")
            addCapabilities(of: system)
            add(
                .good,
                "vCPUs",
                "\(system.recommendedVCPUCount) recommended, \(system.maximumVCPUCount) at most for KVM, "
                    + "\(MachineSize.vcpuCounts.upperBound) for Martlet"
            )
            addInstructions(of: system)
            if InterpretedHost.isThisHost { try addKernels(of: system) }
        } catch {
            add(.bad, path, error.description)
        }
        addNetwork()
        addSandbox()
        add(.good, "memory", "\(MachineConfiguration.hostMemoryByteCount >> 20) MiB in this host")
    }

    private mutating func add(_ verdict: Verdict, _ subject: String, _ detail: String) {
        findings.append(Finding(verdict, subject, detail))
    }

    private mutating func addNetwork() {
        do throws(NetworkError) {
            try NetworkAttachment.checkTAPDevice()
            add(.good, "TAP", "/dev/net/tun opens: --net=tap:NAME")
        } catch {
            add(.note, "TAP", "no --net=tap: \(error)")
        }
        guard let passt = Passt.program() else {
            return add(.note, "passt", "not installed, so no --net=user: `apt install passt`")
        }
        let canPing = Passt.canPing
        add(
            canPing ? .good : .note,
            "passt",
            "\(passt): --net=user"
                + (canPing
                    ? "" : ", whose guests cannot ping: sysctl net.ipv4.ping_group_range='0 2147483647' lets them")
        )
    }

    private mutating func addProcessor() {
        if InterpretedHost.isThisHost {
            add(
                .note,
                "processor",
                """
                no VT-x or AMD-V: KVM, if it is there, interprets guest kernel code at a few million instructions a \
                second. On a machine of your own, switch virtualisation on in the firmware set-up; in a virtual \
                machine, ask for nested virtualisation
                """
            )
        } else {
            add(.good, "processor", "has VT-x or AMD-V: guest kernel code runs natively")
        }
    }

    /// The layers of the sandbox that a machine's process can enter here.
    private mutating func addSandbox() {
        if ProcessRights.canFilterCalls {
            add(.good, "sandbox", "system calls are filtered, by the kind of thread")
        } else {
            add(.note, "sandbox", "this host or this build cannot filter system calls (CONFIG_SECCOMP_FILTER)")
        }
        switch ProcessRights.landlockVersion {
        case nil:
            add(
                .note,
                "sandbox",
                "no Landlock: permissions alone protect files (CONFIG_SECURITY_LANDLOCK, lsm=landlock)"
            )
        case let version?:
            let lacks = version < 4 ? ", without TCP and signals" : version < 7 ? ", without signals" : ""
            add(.good, "sandbox", "Landlock ABI \(version)\(lacks)")
        }
        add(
            .good,
            "sandbox",
            geteuid() == 0
                ? "started as root: capabilities are dropped; --user runs a machine as another user"
                : "no privileges to begin with"
        )
        do throws(Errno) {
            try ProcessLaunch.Jail.check()
            add(.good, "sandbox", "--jail DIR puts a machine's process into namespaces of its own")
        } catch {
            add(.note, "sandbox", "no --jail here: this host does not let you make namespaces (\(error)); root can")
        }
    }

    private mutating func addCapabilities(of system: KVMSystem) {
        let missing = system.missing(from: Capability.required)
        if missing.isEmpty {
            add(.good, "capabilities", "all \(Capability.required.count) that Martlet requires are present")
        } else {
            add(.bad, "capabilities", KVMError.missingCapabilities(missing).description)
        }
        for capability in system.missing(from: Capability.allCases.filter { !Capability.required.contains($0) }) {
            add(.note, "capabilities", "\(capability) is missing; Martlet does without it")
        }
    }

    private mutating func addKernels(of system: KVMSystem) throws(KVMError) {
        let frequency = try system.makeVirtualMachine().makeVCPU(index: 0).timeStampKilohertz
        guard frequency > 0 else { return }
        add(
            .note,
            "kernels",
            "a distribution's kernel takes very long here. If the guest's clock may run "
                + "\(DistributionKernel.clockDivisor(timeStampKilohertz: frequency)) times slower than the host's, this shortens it: --cmdline \""
                + DistributionKernel.parameters(timeStampKilohertz: frequency) + "\""
        )
    }

    private mutating func addInstructions(of system: KVMSystem) {
        let probe = InstructionProbe(system: system)
        var notEmulated: [String] = []
        do throws(MachineError) {
            for instruction in InstructionProbe.instructions where try probe.probe(instruction) == .notEmulated {
                notEmulated.append(instruction.name)
            }
        } catch {
            add(.bad, "guest code", error.description)
            return
        }
        if notEmulated.isEmpty {
            add(
                .good,
                "guest code",
                "all \(InstructionProbe.instructions.count) instructions tried run in a guest kernel"
            )
        } else {
            add(
                .note,
                "guest code",
                "KVM does not execute \(notEmulated.joined(separator: ", ")); Martlet completes them, or keeps Linux "
                    + "from using them by " + InterpretedHost.kernelParameters.joined(separator: " ")
            )
        }
    }
}
