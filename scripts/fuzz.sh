#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Looks for inputs that break one part of Martlet: fuzz.sh TARGET [SECONDS [LIBFUZZER-ARGUMENT...]], docs/fuzzing.md.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?fuzz.sh TARGET [SECONDS [LIBFUZZER-ARGUMENT...]]: docs/fuzzing.md has the targets}
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))

seeds=Tests/Fuzzing/Corpus/$target
[ -d "$seeds" ] || {
    echo "fuzz.sh: there is no target $target, only:" Tests/Fuzzing/Corpus/*/ >&2
    exit 2
}
# Apart from the usual build, which has other flags; optimised, because inputs per second count.
scratch=.build/fuzz
MARTLET_FUZZ=1 swift build -c release --scratch-path "$scratch" --product martlet-fuzz -Xswiftc -use-ld=lld

# What is found stays there: new inputs in corpus/, and those that break something in findings/.
found=$scratch/found/$target
mkdir -p "$found/corpus" "$found/findings"
inputs=("$found/corpus" "$seeds")
# A file as the last argument is run alone.
[ $# -eq 0 ] || [ ! -f "${!#}" ] || inputs=()
# Without Swift's own backtrace, which can take minutes where libFuzzer prints one at once.
SWIFT_BACKTRACE=enable=no MARTLET_FUZZ_TARGET=$target "$scratch/release/martlet-fuzz" \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$found/findings/" "$@" "${inputs[@]}"
