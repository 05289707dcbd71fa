#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests, all or those that the arguments of `swift test` choose, and says at the end once more what failed:
# thousands of lines stand between a failure and the last one.
set -euo pipefail
cd "$(dirname "$0")/.."

swift build --build-tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# Without a bound all tests begin at once, and every guest that one of them has started runs until the others, which share
# the few threads of the pool, let it go on: a suite of 15 minutes took an hour.
swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 3 "$@" 2>&1 | tee "$log" || status=$?
if [ "$status" -ne 0 ]; then
    printf '\nWhat failed:\n'
    grep -aE '^✘|: (fatal )?error: |Fatal error' "$log" | cut -c1-600 || true
fi
exit "$status"
