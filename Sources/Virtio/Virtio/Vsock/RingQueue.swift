// SPDX-License-Identifier: Apache-2.0

/// A queue that gives its elements in the order in which they came, and allocates only to grow.
struct RingQueue<Element> {
    private var elements: [Element?] = []
    private var first = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) {
        if count == elements.count {
            let old = (0..<count).map { elements[(first + $0) % elements.count] }
            elements = old + Array(repeating: nil, count: max(16, count))
            first = 0
        }
        elements[(first + count) % elements.count] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        defer {
            first = (first + 1) % elements.count
            count -= 1
        }
        return elements[first].take()
    }

    /// Takes elements out of the middle.
    mutating func remove(where isGone: (Element) -> Bool) {
        for _ in 0..<count {
            if let element = popFirst(), !isGone(element) { append(element) }
        }
    }

    mutating func removeAll() {
        elements.removeAll()
        (first, count) = (0, 0)
    }
}
