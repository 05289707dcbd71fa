#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hostile-guest.sh FILE: builds the kernel of the torture and the chaos, Tests/Torture/hostile-guest.c, as FILE.
set -euo pipefail
gcc -O2 -ffreestanding -fno-stack-protector -fno-pic -no-pie -mno-sse -mno-red-zone -nostdlib -static -Wall -Wextra -Werror \
    -Wl,-Ttext=0x100000 -Wl,-z,noexecstack -Wl,--build-id=none -o "$1" "$(dirname "$0")/../Tests/Torture/hostile-guest.c"
