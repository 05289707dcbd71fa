#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs tests under the thread sanitizer: tsan.sh [ARGUMENT of swift test...], such as --filter SerialPort.
set -euo pipefail
cd "$(dirname "$0")/.."

# Apart from the usual build, which has other flags.
scratch=.build/tsan
swift build --build-tests --sanitize=thread --scratch-path "$scratch"
mutex=$scratch/swift-mutex.so
clang -O1 -Wall -Wextra -Werror -shared -fPIC -o "$mutex" Tests/ThreadSanitizer/SwiftMutex.c
LD_PRELOAD=$PWD/$mutex swift test --skip-build --disable-xctest --sanitize=thread --scratch-path "$scratch" "$@"
