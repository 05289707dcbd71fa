// SPDX-License-Identifier: Apache-2.0

import JSON
import LinuxBoot

/// `/boot-source`: the kernel, and what it is told.
struct BootSource: Hashable, Sendable {
    var kernelImagePath: String
    var initrdPath: String?
    /// Kernel parameters; they come after Martlet's own, so that they win.
    var bootArguments: String?
    /// What only Martlet has.
    var entry = EntryChoice.automatic
    var imageArguments: [String] = []
    var isCommandLineComplete = false

    init(_ value: JSONValue) throws(APIError) {
        self = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "boot-source")
            var source = BootSource(kernelImagePath: try fields.required("kernel_image_path", .path))
            source.initrdPath = try fields.optional("initrd_path", .path)
            source.bootArguments = try fields.optional("boot_args", .string)
            if var extensions = try fields.optionalObject("martlet") {
                if let entry = try extensions.optional("entry", .enumeration(EntryChoice.self)) { source.entry = entry }
                let image = try extensions.optional("image_args", .string) ?? ""
                source.imageArguments = image.split(separator: " ").map(String.init)
                source.isCommandLineComplete = try extensions.optional("complete_boot_args", .bool) ?? false
                try extensions.finish()
            }
            try fields.finish()
            return source
        }
        try MachineResources.checkReadable(kernelImagePath, "the kernel")
        if let initrdPath { try MachineResources.checkReadable(initrdPath, "the initrd") }
    }

    private init(kernelImagePath: String) {
        self.kernelImagePath = kernelImagePath
    }

    var json: JSONValue {
        var object: JSONObject = ["kernel_image_path": .string(kernelImagePath)]
        if let initrdPath { object["initrd_path"] = .string(initrdPath) }
        if let bootArguments { object["boot_args"] = .string(bootArguments) }
        var extensions: JSONObject = [:]
        if entry != .automatic { extensions["entry"] = .string(entry.rawValue) }
        if !imageArguments.isEmpty { extensions["image_args"] = .string(imageArguments.joined(separator: " ")) }
        if isCommandLineComplete { extensions["complete_boot_args"] = true }
        if !extensions.names.isEmpty { object["martlet"] = .object(extensions) }
        return .object(object)
    }
}
