// SPDX-License-Identifier: Apache-2.0

import MachineAPI

extension MonitorOptions {
    static let help = """
        USAGE: martlet api [--api-sock PATH] [--id ID] [--config-file FILE] [--no-api] [OPTIONS]

        A process for one machine that has none yet: it is configured and started over a REST API on a Unix socket, the
        one of Firecracker (docs/api/openapi.yaml). The console is on standard input and output.

        OPTIONS
          --api-sock PATH      the socket of the API (default: /run/firecracker.socket)
          --id ID              what the machine is called (default: anonymous-instance)
          --config-file FILE   configure a machine from FILE (JSON) and start it
          --no-api             no socket; needs --config-file
          --log-path PATH      write messages to PATH, a file or named pipe, instead of standard error
          --level LEVEL        Off, Error, Warning, Info, Debug or Trace (default: Info with --log-path, else Warning)
          --module NAME        only messages of parts whose name begins with NAME
          --show-level, --show-log-origin
          --metrics-path PATH  write counters to PATH, a file or named pipe, each minute
          --escape KEY         the key before console commands: ctrl-a to ctrl-z, or none (default: none)
          --http-api-max-payload-size BYTES   the largest body of a request (default: 51200)
          --metadata FILE      the first data of the metadata service, as JSON
          --mmds-size-limit BYTES   the limit of that data (default: that of a request's body)
          --start-time-us, --start-time-cpu-us, --parent-cpu-time-us   times of Firecracker's jailer, for the metrics
          --sandbox MODE       on; log: report and allow system calls that are not in a thread's list; off (default: on)
          --allow DIR          once the machine runs, let requests open files in DIR alone; repeatable (default: all files)
          --user USER          become this user, NAME, UID or UID:GID, before the guest runs; needs root
          --seccomp-filter FILE   the lists of system calls, in the JSON of Firecracker's seccompiler, in place of Martlet's
          --no-seccomp         a sandbox that does not filter system calls
          --boot-timer         accepted for the sake of Firecracker's clients, without effect
          --snapshot-version   print the version of the snapshots that this program saves
          --describe-snapshot FILE   print the version of a snapshot, FILE being its state
          --                   the end of the options
          --version, --help

        EXIT STATUS
          as of `martlet run`: 0 when the guest powered off, 2 after a panic, 1 for an error; a signal ends the process
          as a shell expects, with status 128 + its number

        Under the name `firecracker` the program accepts what Firecracker accepts without a word, such as unknown sections of
        a file, and has its exit statuses: 152 for a wrong level, 153 for wrong options, 156 after SIGHUP.
        """

    static let version = """
        Firecracker v\(APIVersion.firecracker)
        The API of Firecracker, served by \(APIVersion.name) \(APIVersion.martlet).
        """
}
