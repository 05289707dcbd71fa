// SPDX-License-Identifier: Apache-2.0

import CHostileCode
import CStorage
import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

struct IOUringRestrictionTests {
    @Test func `a disk's ring takes a disk's operations on the disk's file, whoever submits them, and no others`()
        throws
    {
        let folder = try TemporaryFolder()
        let file = try FileDescriptor.open(FilePath(try folder.write([1, 2, 3], to: "disk")), .readWrite)
        defer { try? file.close() }
        let event = try EventFD()
        var created: OpaquePointer?
        let result = unsafe cstorage_ring_create(8, file.rawValue, event.descriptor.rawValue, &created)
        try #require(result == 0, "errno \(-result)")
        guard let ring = unsafe created else { return }
        defer { unsafe cstorage_ring_destroy(ring) }
        let (read, sync, fixedFile): (UInt32, UInt32, UInt32) = (22, 3, 1)
        #expect(unsafe chostile_submit(ring, read, fixedFile) == 3)
        #expect(unsafe chostile_submit(ring, sync, fixedFile) == 0)
        #expect(unsafe chostile_submit(ring, read, 0) == -EACCES)
        #expect(unsafe chostile_submit(ring, read, fixedFile | 1 << 1) == -EACCES, "in order, which no disk asks for")
        // NOP, SENDMSG, ACCEPT, CONNECT, OPENAT, OPENAT2, SPLICE, UNLINKAT, SOCKET.
        for operation: UInt32 in [0, 9, 13, 16, 18, 28, 30, 36, 45] {
            #expect(unsafe chostile_submit(ring, operation, fixedFile) == -EACCES, "operation \(operation)")
        }
        #expect(unsafe chostile_register(ring, file.rawValue) == -EACCES)
    }
}
