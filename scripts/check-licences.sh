#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every source file names its licence near its top.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
while IFS= read -r file; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || {
        echo "$file: no SPDX-License-Identifier in its first three lines" >&2
        status=1
    }
done < <(git ls-files '*.swift' '*.c' '*.h' '*.sh' Makefile .ci/run)
exit "$status"
