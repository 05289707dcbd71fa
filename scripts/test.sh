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
swift test --skip-build --disable-xctest "$@" 2>&1 | tee "$log" || status=$?
if [ "$status" -ne 0 ]; then
    printf '\nWhat failed:\n'
    grep -aE '^✘|: (fatal )?error: |Fatal error' "$log" | cut -c1-600 || true
fi
exit "$status"
