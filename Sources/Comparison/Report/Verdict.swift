// SPDX-License-Identifier: Apache-2.0

/// What the numbers of one comparison say, in words.
struct Verdict {
    let sentences: [String]

    init(_ result: ComparisonResult) {
        sentences = []
    }
}
