// SPDX-License-Identifier: Apache-2.0

// The instruction operand and the CPU's own area are both byte arrays here. Without REX.W, x87's FIP and FDP are stored
// as 64 bits all the same: the selectors that belong there have been zero on every processor of this decade.

extension Executor {
    /// The checks that all instructions of the family share, and the state.
    private func requireExtendedState(
        isSupervisor: Bool,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) -> ExtendedState {
        guard context.cr4.contains(.osXSAVE) else { throw .invalidOpcode }
        guard !context.cr0.contains(.taskSwitched) else { throw .deviceNotAvailable }
        guard !isSupervisor || context.currentPrivilegeLevel == 0 else { throw .generalProtection }
        guard let state = context.extendedState() else { throw .unsupported(.noExtendedState) }
        return state
    }

    /// The requested-feature bitmap: EDX:EAX, limited to enabled features.
    private func requestedFeatures(among enabled: UInt64) -> UInt64 {
        enabled & (registers[.rdx] << 32 | registers.read(.rax, width: .doubleword))
    }

    private func read(
        _ byteCount: Int,
        at address: UInt64,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) -> [UInt8] {
        var area = [UInt8](repeating: 0, count: byteCount)
        var span = area.mutableSpan
        var bytes = unsafe span.mutableBytes  // any value is valid for bytes
        try read(into: &bytes, at: address, from: &context)
        return area
    }

    // MARK: - Save

    /// `xsave`, `xsaveopt`, `xsavec`, `xsaves` (Intel SDM volume 1, 13.7, 13.9, 13.10, 13.11).
    func saveExtendedState(
        _ variant: SaveVariant,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        let isSupervisor = variant == .supervisor
        let state = try requireExtendedState(isSupervisor: isSupervisor, on: &context)
        let requested = requestedFeatures(among: isSupervisor ? state.xcr0 | state.xss : state.xcr0)
        let isCompacted = variant == .compacted || variant == .supervisor
        let layout =
            isCompacted
            ? XSAVELayout(compacted: requested, of: state)
            : XSAVELayout(standard: requested, of: state)
        let address = try linearAddress(byteCount: layout.byteCount, alignment: 64, on: context)

        // Bytes that the instruction does not write keep their values, so the area is read first: with a write fault if that
        // fails, as the processor would raise it.
        var area: [UInt8]
        do throws(ExecutionFailure) {
            area = try read(layout.byteCount, at: address, from: &context)
        } catch .exception(var exception) where exception.vector == .pageFault {
            exception.errorCode = exception.errorCode.map { $0 | 1 << 1 }
            throw .exception(exception)
        }

        var inUse = state.inUse
        // MXCSR belongs to SSE, but its value alone does not make SSE "in use" for the processor.
        if isCompacted && state.mxcsr != FloatingPointState.initialMXCSR { inUse |= XSAVELayout.sse }
        let written = variant == .plain ? requested : requested & inUse
        if written & XSAVELayout.x87 != 0 {
            for range in XSAVELayout.x87Ranges { area[range] = state.area[range] }
        }
        if written & XSAVELayout.sse != 0 {
            let range = XSAVELayout.xmmRange(instruction.codeSize)
            area[range] = state.area[range]
        }
        let mxcsrOwners = XSAVELayout.sse | XSAVELayout.avx
        if isCompacted ? written & XSAVELayout.sse != 0 : requested & mxcsrOwners != 0 {
            area[XSAVELayout.mxcsr] = state.area[XSAVELayout.mxcsr]
        }
        for (component, offset) in layout.extended where written.contains(component) {
            let source = component.standardOffset..<component.standardOffset + component.byteCount
            area[offset..<offset + component.byteCount] = state.area[source]
        }
        let old: UInt64 = unsafe area.span.bytes.integer(at: ExtendedState.headerOffset)
        let kept = isCompacted ? 0 : old & ~requested
        area.storeInteger(kept | requested & inUse, at: ExtendedState.headerOffset)
        if isCompacted {
            area.storeInteger(requested | XSAVELayout.compacted, at: ExtendedState.headerOffset + 8)
        }
        try write(unsafe area.span.bytes, at: address, to: &context)
    }

    // MARK: - Restore

    /// `xrstor`, `xrstors` (Intel SDM volume 1, 13.8 and 13.12).
    func restoreExtendedState(
        isSupervisor: Bool,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        var state = try requireExtendedState(isSupervisor: isSupervisor, on: &context)
        let enabled = isSupervisor ? state.xcr0 | state.xss : state.xcr0
        let requested = requestedFeatures(among: enabled)
        let minimum = ExtendedState.minimumByteCount
        let address = try linearAddress(byteCount: minimum, alignment: 64, on: context)
        let header = try read(minimum, at: address, from: &context)
        let isCompacted = try checkHeader(header, enabled: enabled, requiresCompacted: isSupervisor)

        let saved: UInt64 = unsafe header.span.bytes.integer(at: ExtendedState.headerOffset)
        let format: UInt64 = unsafe header.span.bytes.integer(at: ExtendedState.headerOffset + 8)
        let layout =
            isCompacted
            ? XSAVELayout(compacted: format, of: state)
            : XSAVELayout(standard: requested & saved, of: state)
        _ = try linearAddress(byteCount: layout.byteCount, on: context)
        let area = try read(layout.byteCount, at: address, from: &context)

        let loadsMXCSR =
            isCompacted
            ? requested & saved & XSAVELayout.sse != 0
            : requested & (XSAVELayout.sse | XSAVELayout.avx) != 0
        if loadsMXCSR {
            let mxcsr: UInt32 = unsafe area.span.bytes.integer(at: XSAVELayout.mxcsr.lowerBound)
            guard mxcsr & ~state.writableMXCSR == 0 else { throw .generalProtection }
            state.mxcsr = mxcsr
        } else if requested & XSAVELayout.sse != 0 {
            state.mxcsr = FloatingPointState.initialMXCSR
        }
        state.load(requested, from: area, layout: layout, saved: saved, codeSize: instruction.codeSize)
        context.setExtendedState(state)
    }

    /// Checks the header of an area to be restored (Intel SDM volume 1, 13.8 and 13.12, on #GP).
    ///
    /// `requiresCompacted` makes the standard format an error. Returns whether the area has the compacted format; throws #GP
    /// for a bad header.
    private func checkHeader(
        _ area: [UInt8],
        enabled: UInt64,
        requiresCompacted: Bool
    ) throws(ExecutionFailure) -> Bool {
        let offset = ExtendedState.headerOffset
        let saved: UInt64 = unsafe area.span.bytes.integer(at: offset)
        let format: UInt64 = unsafe area.span.bytes.integer(at: offset + 8)
        let isCompacted = format & XSAVELayout.compacted != 0
        guard isCompacted || !requiresCompacted else { throw .generalProtection }
        guard saved & ~enabled == 0 else { throw .generalProtection }
        if isCompacted {
            let components = format & ~XSAVELayout.compacted
            guard components & ~enabled == 0, saved & ~components == 0 else { throw .generalProtection }
        }
        let reserved = isCompacted ? offset + 16..<offset + 64 : offset + 8..<offset + 24
        guard area[reserved].allSatisfy({ $0 == 0 }) else { throw .generalProtection }
        return isCompacted
    }
}

extension ExtendedState {
    /// Loads the requested components that were saved, and resets those that were not; MXCSR is left alone.
    fileprivate mutating func load(
        _ requested: UInt64,
        from source: [UInt8],
        layout: XSAVELayout,
        saved: UInt64,
        codeSize: CodeSize
    ) {
        if requested & XSAVELayout.x87 != 0 {
            for range in XSAVELayout.x87Ranges {
                load(range, from: source, isSaved: saved & XSAVELayout.x87 != 0)
            }
            if saved & XSAVELayout.x87 == 0 { area.storeInteger(FloatingPointState().controlWord, at: 0) }
        }
        if requested & XSAVELayout.sse != 0 {
            load(XSAVELayout.xmmRange(codeSize), from: source, isSaved: saved & XSAVELayout.sse != 0)
        }
        for component in components where requested.contains(component) {
            let target = component.standardOffset..<component.standardOffset + component.byteCount
            let place = layout.extended.first { $0.component.index == component.index }
            if let place, saved.contains(component) {
                area[target] = source[place.offset..<place.offset + component.byteCount]
            } else {
                load(target, from: source, isSaved: false)
            }
        }
        inUse = inUse & ~requested | saved & requested
        // KVM takes MXCSR from the area only when SSE or AVX is marked as in use.
        if requested & XSAVELayout.sse != 0 && mxcsr != FloatingPointState.initialMXCSR { inUse |= XSAVELayout.sse }
    }

    private mutating func load(_ range: Range<Int>, from source: [UInt8], isSaved: Bool) {
        if isSaved {
            area[range] = source[range]
        } else {
            for offset in range { area[offset] = 0 }
        }
    }
}
