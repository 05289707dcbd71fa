#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# torture.sh [OPERATIONS [SEED]]: lets Tests/Torture/hostile-guest.c use the devices of machines at random, with one and
# two vCPUs and five sets of devices. Meanwhile each machine is asked for its statistics, paused and resumed, which has to
# succeed soon, and in the end it must have ended by its own word. Says how long the slowest answer took.
#
# An operation is an instruction that uses a port, an access to a device's register, the set-up of a device, or a chain of
# buffers that a device gets.
set -euo pipefail
cd "$(dirname "$0")/.."

# A network of its own: frames of chance must not leave the host.
if [ "${MARTLET_TORTURE:-}" != inside ]; then
    MARTLET_TORTURE=inside exec unshare --net "$0" "$@"
fi
operations=${1:-1000000}
seed=${2:-$(date +%s)}
rounds=10
work=$(mktemp -d)
export MARTLET=${MARTLET:-$PWD/.build/release/martlet} MARTLET_RUNTIME_DIR=$work/run
mkdir -m 700 "$MARTLET_RUNTIME_DIR"
finish() {
    "$MARTLET" rm --force m > /dev/null 2>&1 || true
    ip link delete torture 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT

scripts/hostile-guest.sh "$work/guest"
truncate -s 8G "$work/large"
truncate -s 64M "$work/a" "$work/b" "$work/c"
ip tuntap add torture mode tap
ip link set torture up

fail() {
    echo "torture: $1 (seed $seed, $vcpus vCPUs, ${devices[*]})" >&2
    tail -n 3 "$MARTLET_RUNTIME_DIR/m/monitor.log" >&2 || true
    "$MARTLET" logs m 2> /dev/null | tail -c 300 | tr -cd '\n -~' >&2 || true
    exit 1
}

# ask COMMAND...: a command about the machine, which must not wait for the guest. On a busy host it may give up by its own
# limit of 2 seconds, and is asked again.
slowest=0
ask() {
    local begun=${EPOCHREALTIME/./} spent=0 answer
    until answer=$(timeout 30 "$MARTLET" "$@" m 2>&1); do
        # It may have ended since, or be about to.
        if "$MARTLET" inspect m 2> /dev/null | grep -q '"state": "ended"'; then return 1; fi
        [[ $answer =~ 'did not answer in time'|'has ended' && $spent -lt 30000 ]] || fail "$1 failed after $spent ms: $answer"
        spent=$(((${EPOCHREALTIME/./} - begun) / 1000))
    done
    spent=$(((${EPOCHREALTIME/./} - begun) / 1000))
    [ "$spent" -le "$slowest" ] || slowest=$spent
}

for vcpus in 1 2; do
    for set in \
        "--no-entropy" \
        "--disk $work/large,engine=io_uring" \
        "--disk $work/large,engine=threads --net=tap:torture" \
        "--disk $work/large,readonly,direct --disk $work/a" \
        "--disk $work/a,queues=2,iops=500 --disk $work/b,bandwidth=1M --disk $work/c --net=tap:torture"; do
        read -ra devices <<< "$set"
        "$MARTLET" run "$work/guest" --name m --detach --cpus $vcpus --memory 256M --exit-status-port "${devices[@]}" \
            --cmdline-only "seed=$seed ops=$((operations / rounds / vcpus)) cpus=$vcpus" > "$work/messages" 2>&1 ||
            fail "start: $(cat "$work/messages")"
        "$MARTLET" wait m > "$work/status" 2>&1 &
        waiter=$!
        while kill -0 $waiter 2> /dev/null; do
            if ask stats && ask pause && ask resume; then sleep 1; else break; fi
        done
        status=0
        wait $waiter || status=$?
        [ $status = 0 ] || fail "ended with $status: $(cat "$work/status")"
        "$MARTLET" rm m > /dev/null
        echo "torture: $((operations / rounds)) operations, seed $seed, $vcpus vCPUs, ${devices[*]//$work\//}: ok, slowest answer $slowest ms"
        seed=$((seed + 1))
    done
done
