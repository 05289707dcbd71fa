#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs tests under a sanitizer: sanitize.sh address|thread [ARGUMENT of swift test...], such as --filter SerialPort.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=${1:-}
case $sanitizer in
address | thread) shift ;;
*)
    echo "usage: $0 address|thread [ARGUMENT of swift test...]" >&2
    exit 2
    ;;
esac

# Apart from the usual build, which has other flags.
scratch=.build/$sanitizer
flags=(--sanitize="$sanitizer" --scratch-path "$scratch")
swift build --build-tests "${flags[@]}"
if [ "$sanitizer" = thread ]; then
    mutex=$scratch/swift-mutex.so
    clang -O1 -Wall -Wextra -Werror -shared -fPIC -o "$mutex" Tests/Support/ThreadSanitizer/SwiftMutex.c
    export LD_PRELOAD=$PWD/$mutex
    # Threads that have ended are not waited for where the process ends with its machine. A restore goes on in a copy of the
    # process, which starts threads.
    export TSAN_OPTIONS=report_thread_leaks=0:die_after_fork=0
else
    # The runtime keeps much of what it makes once for as long as the process lives.
    export ASAN_OPTIONS=detect_leaks=0
fi
exec swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 3 "${flags[@]}" "$@"
