// SPDX-License-Identifier: Apache-2.0

package import CKVM
import Host
import KVM

/// Compares the host of a snapshot with the one that it shall go on with, before anything is started.
package struct HostCheck {
    /// This host.
    package var host: HostDescription
    /// The CPUID leaves that this host's KVM can give to a guest; `nil` where it is known to give those of the snapshot.
    package var supported: [kvm_cpuid_entry2]?
    /// The frequency of its time-stamp counter in kHz, or 0 where it is not known.
    package var timeStampKilohertz: UInt32
    /// Indicates whether KVM can give a guest another frequency.
    package var canScaleTimeStampCounter: Bool
    /// Indicates whether a value given to a guest's counter takes effect: see `KVMVCPU.canSetTimeStampCounter`.
    package var canSetTimeStampCounter: Bool

    package init(
        host: HostDescription,
        supported: [kvm_cpuid_entry2]?,
        timeStampKilohertz: UInt32,
        canScaleTimeStampCounter: Bool,
        canSetTimeStampCounter: Bool
    ) {
        self.host = host
        self.supported = supported
        self.timeStampKilohertz = timeStampKilohertz
        self.canScaleTimeStampCounter = canScaleTimeStampCounter
        self.canSetTimeStampCounter = canSetTimeStampCounter
    }

    /// Lists every difference that keeps the guest from continuing here, in words.
    ///
    /// - Parameters:
    ///   - saved: The host of the snapshot.
    ///   - cpuid: The CPUID entries that its guest was shown.
    ///   - khz: The frequency of the guest's time-stamp counter in kHz, or 0.
    /// - Returns: Nothing where it can go on.
    package func differences(
        from saved: HostDescription,
        cpuid: [kvm_cpuid_entry2],
        timeStampKilohertz khz: UInt32
    ) -> [String] {
        var differences: [String] = []
        if saved.isInterpreting != host.isInterpreting {
            let kinds = ["runs guest kernels natively", "interprets guest kernel code"]
            let (was, now) = saved.isInterpreting ? (kinds[1], kinds[0]) : (kinds[0], kinds[1])
            differences.append("KVM of the snapshot's host \(was), KVM of this host \(now)")
        }
        if saved.vendor != host.vendor {
            differences.append(
                "the snapshot needs a processor of \(printable(String(saved.vendor.prefix(16)))), this one is of \(host.vendor)"
            )
        }
        let missing = missingFeatures(cpuid)
        if !missing.isEmpty {
            differences.append(
                "the guest uses processor features that are missing here: \(missing.joined(separator: ", "))"
            )
        }
        let isKnown = khz != 0 && timeStampKilohertz != 0
        if isKnown, !canScaleTimeStampCounter, !KVMVCPU.isSameFrequency(khz, timeStampKilohertz) {
            differences.append(
                """
                the guest's time-stamp counter runs at \(khz) kHz, this host's at \(timeStampKilohertz) kHz, and KVM cannot \
                scale it here
                """
            )
        }
        if saved.bootID != host.bootID, !canSetTimeStampCounter {
            differences.append(
                """
                the snapshot was saved in another boot of a host: KVM cannot set a guest's time-stamp counter here, so its \
                timers would not fire
                """
            )
        }
        return differences
    }

    /// The features that the guest was shown and that this host cannot give, by Linux's names where it has one.
    private func missingFeatures(_ saved: [kvm_cpuid_entry2]) -> [String] {
        guard let supported else { return [] }
        return CPUIDFeatures.registers.flatMap { register -> [String] in
            let shown = saved.first { $0.function == register.leaf && $0.index == register.subleaf }
            guard let shown else { return [] }
            let here = supported.first { $0.function == register.leaf && $0.index == register.subleaf }
            let missing = register.value(of: shown) & ~(here.map(register.value) ?? 0) & ~register.ignored
            return (0..<32).filter { missing & 1 << $0 != 0 }.map(register.name)
        }
    }
}
