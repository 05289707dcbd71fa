// SPDX-License-Identifier: Apache-2.0

/// At most 16 characters in order, in place: the exit path allocates nothing.
struct CharacterRing {
    static let capacity = 16

    private var storage = [16 of ReceivedCharacter](repeating: ReceivedCharacter(byte: 0))
    private var head = 0
    private(set) var count = 0

    init() {}

    /// As many of `characters` as fit.
    init(_ characters: some Sequence<ReceivedCharacter>) {
        for character in characters.prefix(Self.capacity) {
            append(character)
        }
    }

    var isEmpty: Bool { count == 0 }
    var isFull: Bool { count == Self.capacity }

    /// The number of characters that came from the host.
    var hostCharacterCount: Int {
        var result = 0
        for index in 0..<count where !self[index].isLoopedBack {
            result += 1
        }
        return result
    }

    /// The characters, first in first; for snapshots.
    var characters: [ReceivedCharacter] { (0..<count).map { self[$0] } }

    var first: ReceivedCharacter? {
        get { isEmpty ? nil : self[0] }
        set {
            guard let newValue, !isEmpty else { return }
            self[0] = newValue
        }
    }

    /// Drops `character` if the ring is full; callers ask first.
    mutating func append(_ character: ReceivedCharacter) {
        guard !isFull else { return }
        count += 1
        self[count - 1] = character
    }

    /// Puts `character` before all others; drops it if the ring is full.
    mutating func prepend(_ character: ReceivedCharacter) {
        guard !isFull else { return }
        head = (head + Self.capacity - 1) % Self.capacity
        count += 1
        self[0] = character
    }

    mutating func popFirst() -> ReceivedCharacter? {
        guard let character = first else { return nil }
        head = (head + 1) % Self.capacity
        count -= 1
        return character
    }

    mutating func popLast() -> ReceivedCharacter? {
        guard !isEmpty else { return nil }
        defer { count -= 1 }
        return self[count - 1]
    }

    func contains(where predicate: (ReceivedCharacter) -> Bool) -> Bool {
        for index in 0..<count where predicate(self[index]) {
            return true
        }
        return false
    }

    private subscript(index: Int) -> ReceivedCharacter {
        get { storage[(head + index) % Self.capacity] }
        set { storage[(head + index) % Self.capacity] = newValue }
    }
}
