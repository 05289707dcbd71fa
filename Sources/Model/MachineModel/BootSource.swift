// SPDX-License-Identifier: Apache-2.0

/// The kernel and its parameters: `/boot-source` of the API.
public struct BootSource: Codable, Hashable, Sendable {
    /// The path of the kernel: a bzImage, as distributions ship it, or an ELF image.
    public var kernelPath: String

    /// The path of the initial RAM disk, if any.
    public var initrdPath: String?

    /// Kernel parameters, separated by spaces.
    ///
    /// They come behind Martlet's own: the serial console, the reset after a panic, and the root file system.
    public var commandLine: String?

    /// Settings that Firecracker does not have.
    public var martlet: Extensions?

    /// Settings of a kernel that Firecracker does not have.
    public struct Extensions: HasDefault, Sendable {
        /// The entry point of the kernel; `nil` for ``EntryChoice/automatic``.
        public var entry: EntryChoice?

        /// Parameters that the guest image needs, between Martlet's own and ``BootSource/commandLine``.
        public var imageParameters: String?

        /// Indicates whether ``BootSource/commandLine`` is the whole command line, so that Martlet adds nothing.
        @DefaultWhenAbsent public var isCommandLineComplete: Bool

        enum CodingKeys: String, CodingKey {
            case entry
            case imageParameters = "image_args"
            case isCommandLineComplete = "complete_boot_args"
        }

        /// Makes the usual settings.
        public init() {}
    }

    enum CodingKeys: String, CodingKey {
        case kernelPath = "kernel_image_path"
        case initrdPath = "initrd_path"
        case commandLine = "boot_args"
        case martlet
    }

    /// The number of bytes in the longest command line that a kernel takes (COMMAND_LINE_SIZE of x86, less its NUL).
    package static let commandLineLimit = 2047

    /// Describes a kernel; no file is opened yet.
    ///
    /// - Parameters:
    ///   - kernelPath: A bzImage or an ELF image.
    ///   - initrdPath: The initial RAM disk, if any.
    ///   - commandLine: Kernel parameters, separated by spaces.
    public init(kernelPath: String, initrdPath: String? = nil, commandLine: String? = nil) {
        (self.kernelPath, self.initrdPath, self.commandLine) = (kernelPath, initrdPath, commandLine)
    }

    /// The entry point of the kernel.
    public var entry: EntryChoice {
        get { martlet?.entry ?? .automatic }
        set { martlet[setting: \.entry] = newValue == .automatic ? nil : newValue }
    }

    /// Parameters that the guest image needs, between Martlet's own and ``commandLine``.
    public var imageParameters: String {
        get { martlet?.imageParameters ?? "" }
        set { martlet[setting: \.imageParameters] = newValue.isEmpty ? nil : newValue }
    }

    /// Indicates whether ``commandLine`` is the whole command line, so that Martlet adds nothing.
    public var isCommandLineComplete: Bool {
        get { martlet?.isCommandLineComplete ?? false }
        set { martlet[setting: \.isCommandLineComplete] = newValue }
    }

    /// Checks the paths.
    package func validate(at path: String = "boot-source") throws(ConfigurationError) {
        try kernelPath.validateAsPath(at: "\(path).kernel_image_path")
        try initrdPath?.validateAsPath(at: "\(path).initrd_path")
        let byteCount = commandLine?.utf8.count ?? 0
        guard byteCount <= Self.commandLineLimit else {
            throw ConfigurationError(
                "\(path).boot_args",
                "a kernel takes at most \(Self.commandLineLimit) bytes, not \(byteCount)"
            )
        }
    }
}

extension String {
    /// Checks that a path is one: the host would take what follows U+0000 for nothing, and so for another file.
    package func validateAsPath(at field: String) throws(ConfigurationError) {
        guard !isEmpty else { throw ConfigurationError(field, "must be a path, and is empty") }
        guard !utf8.contains(0) else { throw ConfigurationError(field, "must be a path without U+0000") }
    }
}

/// The entry point of the kernel that a machine uses.
public enum EntryChoice: String, Codable, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// The fastest entry point that the image offers.
    case automatic
    /// The 64-bit entry point of the ELF image, which a bzImage holds compressed.
    case elf
    /// The 32-bit PVH entry point that an ELF note names.
    case pvh
    /// The bzImage's own 64-bit entry: its code unpacks the kernel and places it at random (KASLR).
    case image

    /// The name of the choice in JSON and on the command line.
    public var description: String { rawValue }
}
