#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest.sh [COUNT]: how many instructions of the guest's kernel KVM interprets for 2 MiB over TCP and over vsock, and for an
# idle network interface at boot. For hosts whose KVM interprets guest kernels (docs/host-support.md), where instructions
# are what network costs. Run it as root, after `make build guest-images-all`; docs/performance.md has results. It needs perf and
# socat. MARTLET names the command.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A network of its own, which is gone with it.
[[ -n ${MARTLET_BENCH_NETWORK-} ]] || MARTLET_BENCH_NETWORK=1 exec unshare -n "$here/guest.sh" "$@"
source=$(cd "$here/../.." && pwd)
count=${1:-5}
martlet=${MARTLET:-$source/.build/release/martlet}
images=$source/guest-images/build
export MARTLET_GUEST_IMAGES=$images
work=$(mktemp -d /var/tmp/martlet-network-XXXXXX)
export MARTLET_RUNTIME_DIR=$work/machines
mkdir -m 700 "$MARTLET_RUNTIME_DIR"
cleanup() {
    "$martlet" rm --force --all >/dev/null 2>&1 || true
    # shellcheck disable=SC2046 # several numbers
    kill $(jobs -p) 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

ip link set lo up
ip tuntap add tap0 mode tap
ip addr add 10.88.0.1/24 dev tap0
ip link set tap0 mtu 65520 up

# A timer interrupt of the guest costs about so many instructions, and how many there are depends on the host's load.
tick=1500

# Instructions of a machine's guest, ticks taken off, while a command runs or that the command itself has: perf's options before --.
instructions() {
    perf stat -x, -o "$work/counts" -e kvm:kvm_emulate_insn -e kvm:kvm_apic_accept_irq --filter 'vec == 236' "$@" \
        >/dev/null 2>"$work/messages" </dev/null || { cat "$work/messages" >&2; return 1; }
    awk -F, -v tick=$tick '/emulate_insn/ { n = $1 } /accept_irq/ { t = $1 } END { printf "%.0f\n", n - tick * t }' \
        "$work/counts"
}

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f M (%.2f to %.2f)", v[int((NR + 1) / 2)] / 1e6, v[1] / 1e6, v[NR] / 1e6 }'; }

# What a transfer adds to the same program without a network, in turns.
transfer() { # TITLE SOURCE TARGET BASE-SOURCE BASE-TARGET
    local title=$1 whole base
    shift
    for ((round = 0; round <= count; round++)); do
        whole=$(instructions -p "$monitor" -- "$martlet" exec net socat -u -b 65536 "$1" "$2")
        base=$(instructions -p "$monitor" -- "$martlet" exec net socat -u -b 65536 "$3" "$4")
        # The first round reads the programs from the disk.
        ((round == 0)) || echo $((whole - base))
    done | { printf '%-32s ' "$title"; median; echo; }
}

echo "idle network interface at boot, instructions of the guest's kernel until it ends"
for ((round = 1; round <= count; round++)); do
    for kind in without with; do
        net=(--net=none)
        [[ $kind == without ]] || net=(--net=tap:tap0)
        instructions -- "$martlet" run "${net[@]}" --cmdline 'martlet.run=true' >>"$work/boot-$kind"
    done
done
for kind in without with; do printf '%-32s ' "  $kind"; median <"$work/boot-$kind"; echo; done
printf '%-32s ' '  more'
paste "$work/boot-with" "$work/boot-without" | awk '{ print $1 - $2 }' | median
echo

"$martlet" run --name net --detach --net=tap:tap0,address=10.88.0.2/24 "$images/vmlinux" \
    --disk "$images/testing.ext4,readonly" --cmdline 'quiet martlet.shell=off' >/dev/null
monitor=$("$martlet" inspect net | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1)
size=2097152
socket=$MARTLET_RUNTIME_DIR/net/vsock.sock
socat -u TCP-LISTEN:9001,fork,reuseaddr OPEN:/dev/null &
socat -U TCP-LISTEN:9002,fork,reuseaddr SYSTEM:"head -c $size /dev/zero" &
socat -u UNIX-LISTEN:"${socket}_9001",fork OPEN:/dev/null &
socat -U UNIX-LISTEN:"${socket}_9002",fork SYSTEM:"head -c $size /dev/zero" &
until "$martlet" exec net true 2>/dev/null; do sleep 1; done

echo "2 MiB, instructions of the guest's kernel beyond those of the same program without a network"
zeros=OPEN:/dev/zero,readbytes=$size
transfer '  TCP, out' "$zeros" TCP:10.88.0.1:9001 "$zeros" OPEN:/dev/null
transfer '  TCP, in' TCP:10.88.0.1:9002 OPEN:/dev/null OPEN:/dev/null OPEN:/dev/null
transfer '  vsock, out' "$zeros" VSOCK-CONNECT:2:9001 "$zeros" OPEN:/dev/null
transfer '  vsock, in' VSOCK-CONNECT:2:9002 OPEN:/dev/null OPEN:/dev/null OPEN:/dev/null
