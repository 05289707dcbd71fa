# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts of this folder: messages, needed packages, and artefacts that are built once per set of inputs.

guest_images=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${MARTLET_GUEST_BUILD:-$guest_images/build}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/martlet
linux_tarball=/usr/src/linux-source-6.1.tar.xz

# Nothing of the caller's environment may reach the results.
export LC_ALL=C TZ=UTC
unset CDPATH MAKEFLAGS MFLAGS MAKELEVEL CFLAGS LDFLAGS CROSS_COMPILE KCFLAGS KBUILD_OUTPUT

say() { printf 'guest-images: %s\n' "$*"; }
fail() {
    printf 'guest-images: error: %s\n' "$*" >&2
    exit 1
}

# need_packages PATH-OR-COMMAND:PACKAGE...: one message for everything that is missing.
need_packages() {
    local pair what missing=()
    for pair in "$@"; do
        what=${pair%:*}
        case $what in
        /*) [[ -e $what ]] || missing+=("${pair##*:}") ;;
        *) command -v "$what" >/dev/null || missing+=("${pair##*:}") ;;
        esac
    done
    ((${#missing[@]} == 0)) || fail "missing on this machine; as root: apt-get install --no-install-recommends ${missing[*]}"
}

# inputs_key STRING-OR-FILE...: one hash over files' contents and plain words. Scripts pass `declare -f` of what they run:
# that is without comments, as are configurations, so explaining something better costs nobody a kernel build.
inputs_key() {
    local input
    for input in "$@"; do
        case $input in
        *.config) grep '^CONFIG_' "$input" ;;
        *.Kconfig) grep -v '^#' "$input" ;;
        /*) sha256sum <"$input" ;;
        *) printf '%s\n' "$input" ;;
        esac
    done | sha256sum | cut -c1-20
}
package_version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo unknown; }
toolchain() { gcc -v 2>&1 | tail -n 1 && ld --version | head -n 1; }

# progress LABEL: shows how long a step has taken, and of how many parts how many are done, where $steps says how many there
# are about. On a terminal one line that rewrites itself each second, elsewhere a line each 20 s.
progress() {
    local label=$1 pause=20 before='' after=$'\n' count first
    first=$(grep -c '^  [A-Z]' "$log" || true)
    if [[ -t 1 ]]; then pause=1 before=$'\r\e[K' after=''; fi
    while sleep "$pause" >/dev/null 2>&1; do
        count=''
        if [[ -n ${steps:-} ]]; then
            count=$(($(grep -c '^  [A-Z]' "$log" || true) - first))
            count=", $((count < steps ? 100 * count / steps : 99)) %"
        fi
        printf '%sguest-images: %s: %s%s, %s s%s' "$before" "$artefact" "$label" "$count" "$SECONDS" "$after"
    done
}

# run_logged LABEL COMMAND...: a line when it starts, its progress, and the log's end should it fail. In the background,
# because only `wait` lets a signal end this script at once, and the command with it.
run_logged() {
    local label=$1 heartbeat command status=0
    shift
    say "$artefact: $label"
    "$@" >>"$log" 2>&1 </dev/null &
    command=$!
    progress "$label" &
    heartbeat=$!
    # shellcheck disable=SC2064 # the numbers of now
    trap "kill $command $heartbeat 2>/dev/null; exit 130" INT TERM HUP
    wait "$command" || status=$?
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
    if [[ -t 1 ]]; then printf '\r\e[K'; fi
    trap - INT TERM HUP
    if ((status != 0)); then
        tail -n 30 "$log" >&2
        fail "$artefact: $label failed ($status); the whole log is $log"
    fi
}

# Debian's kernel source, without five sixths of its 80 000 files: what no configuration of ours compiles. Kconfig files and
# Makefiles stay: the kernel's build reads them all. From drivers/ these stay whole: base, block, char, clocksource, input, net (its
# own files), rtc, tty, virtio. Literal names are cheap for tar, each pattern is matched with each of 80 000 names.
unpack_linux() {
    local folder=linux-source-6.1 files='*.[chS]' name excluded=()
    for name in drivers/{'[adefghlmopqsuwxz]*','b[cu]*','blu*','c[do-z]*',clk,'i[^n]*','in[^p]*','n[^e]*','net/*','r[^t]*','t[^t]*','v[^i]*','vid*'} \
        fs/{'[abcghlmqux]*','f2fs','jf*','n[^o]*','o[^v]*'} net/{'[mtw]*','b[al]*','netf*',sunrpc} security/'[as]*' sound samples; do
        excluded+=(--exclude="$folder/$name/$files")
    done
    tar -xf "$linux_tarball" --anchored --wildcards --wildcards-match-slash "${excluded[@]}" \
        --exclude="$folder/arch/[a-wyz]*/$files" --exclude="$folder/arch/xtensa/$files" --exclude="$folder/arch/x86/[ck][rv]*/$files" \
        --exclude="$folder/arch/*.dts*" --exclude="$folder/Documentation/*/*" --exclude="$folder/tools/[pt-z]*" --exclude="$folder/include/dt-bindings"
}

# The kernel's version string must not depend on who built it, where and when: "#1 Debian 6.1.192-2".
name_kernel_build() {
    export KBUILD_BUILD_USER=martlet KBUILD_BUILD_HOST=martlet KBUILD_BUILD_VERSION=1 KBUILD_BUILD_TIMESTAMP=@0
    # Debian's kernel source knows this one.
    KBUILD_BUILD_VERSION_TIMESTAMP="Debian $(package_version linux-source-6.1)"
    export KBUILD_BUILD_VERSION_TIMESTAMP
}

# build_into_cache BUILDER FILE...: makes FILEs by BUILDER, and $stored of them.
build_into_cache() {
    local builder=$1 file work=$cache/work/$artefact
    shift
    log=$cache/$artefact.log
    rm -rf "$work"
    mkdir -p "$work"
    : >"$log"
    SECONDS=0
    # Not in a condition: `set -e` must hold inside the builder.
    (
        cd "$work" || exit
        "$builder"
    ) 9>&- # nothing that outlives this script may hold the lock
    rm -rf "$stored.new"
    mkdir "$stored.new"
    for file in "$@"; do mv "$work/$file" "$stored.new/"; done
    mv "$stored.new" "$stored"
    rm -rf "$work"
    say "$artefact: built in $SECONDS s"
}

# provide ARTEFACT KEY BUILDER FILE...: puts FILEs into $build. They come from the cache when the same inputs were built
# on this machine before; else BUILDER makes them in the current folder (an empty one, at a path that is always the same).
# "kept:FILE" is for later builds: it stays in the cache only. Afterwards $stored is the folder in the cache.
provide() {
    artefact=$1
    local key=$2 builder=$3 file done_before=1 all=() wanted=()
    shift 3
    for file in "$@"; do
        all+=("${file#kept:}")
        [[ $file == kept:* ]] || wanted+=("$file")
    done
    stored=$cache/$artefact-$key
    local stamp=$build/.$artefact.key
    mkdir -p "$build" "$cache"

    [[ -e $stamp && $(<"$stamp") == "$key" ]] || done_before=0
    for file in "${wanted[@]}"; do [[ -e $build/$file ]] || done_before=0; done
    if ((done_before)); then
        say "$artefact: up to date"
        return
    fi

    if [[ -d $stored ]]; then
        say "$artefact: taken from $stored"
    else
        # One builder at a time; who waited finds the result in the cache.
        exec 9>"$cache/$artefact.lock"
        flock --nonblock 9 || { say "$artefact: waiting for another build of it" && flock 9; }
        if [[ ! -d $stored ]]; then build_into_cache "$builder" "${all[@]}"; fi
        exec 9>&-
    fi
    # Branches and clones share the cache: what nobody took for a month goes.
    touch "$stored"
    find "$cache" -maxdepth 1 -name "$artefact-*" -mtime +30 -exec rm -rf {} +
    for file in "${wanted[@]}"; do
        cp "$stored/$file" "$build/.$file.$$"
        mv "$build/.$file.$$" "$build/$file"
    done
    printf '%s\n' "$key" >"$stamp.$$"
    mv "$stamp.$$" "$stamp"
}
