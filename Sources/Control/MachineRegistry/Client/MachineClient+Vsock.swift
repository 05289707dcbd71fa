// SPDX-License-Identifier: Apache-2.0

package import Host
import JSON
import SystemPackage

extension MachineClient {
    /// Connects to a port of the guest, by its vsock.
    ///
    /// - Parameters:
    ///   - port: The port.
    ///   - limit: By when the guest has to have taken the connection: one waits until the guest has a driver for it.
    /// - Returns: The connection, which blocks.
    /// - Throws: `RegistryError` where the machine has no vsock, or its guest refuses.
    package func connect(
        toPort port: UInt32,
        until limit: TimeLimit = .after(patience)
    ) throws(RegistryError) -> UnixSocket {
        let configuration = try request("GET", "/vm/config", until: limit)
        guard case .object(let object) = configuration, case .object(let vsock) = object["vsock"],
            case .string(let path) = vsock["uds_path"]
        else {
            throw RegistryError("machine '\(folder.name)' has no vsock: start it without --vsock=none")
        }
        let socket: UnixSocket
        do throws(UnixSocketError) {
            socket = try UnixSocket.connect(to: FilePath(hostText: path))
        } catch {
            throw RegistryError("machine '\(folder.name)': \(error)")
        }
        do throws(Errno) {
            // A new connection has room for it.
            _ = try socket.send(Array("CONNECT \(port)\n".utf8)[...])
            // `OK` and a number; byte by byte, because what follows is the guest's.
            var (answer, byte): ([UInt8], [UInt8]) = ([], [0])
            while answer.last != UInt8(ascii: "\n") {
                guard !Poll.wait(for: socket.descriptor, .readable, timeout: limit.left).isEmpty else {
                    throw Errno.timedOut
                }
                guard try socket.receive(into: &byte) == 1, answer.count < 32 else {
                    throw Errno.connectionRefused
                }
                answer.append(byte[0])
            }
            return socket
        } catch .connectionRefused {
            throw RegistryError("machine '\(folder.name)': no program of the guest listens at port \(port)")
        } catch .timedOut {
            throw RegistryError("machine '\(folder.name)': the guest does not answer: it has no driver for vsock yet")
        } catch {
            throw RegistryError("machine '\(folder.name)': vsock: \(error)")
        }
    }
}
