// SPDX-License-Identifier: Apache-2.0

import SystemPackage

extension FilePath {
    /// Takes a path as it is, or not at all: a NUL would end it early, and name another file.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - property: The property of the configuration that it is of; `nil` for a path from elsewhere.
    /// - Throws: `invalidConfiguration`, or `storage` where there is no property.
    init(checking path: String, of property: String?) throws(MartletError) {
        guard !path.utf8.contains(0) else {
            let code = property == nil ? MartletError.Code.storage : .invalidConfiguration
            throw MartletError(code, "the path \(path.debugDescription) contains a NUL", property: property)
        }
        self.init(path)
    }
}
