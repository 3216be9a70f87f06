#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Waits until the guest NAME is Ready in another boot than OLD_BOOT_ID: right after a reboot the Node object still says
# Ready, with the old id. Prints how long it took since QEMU started.
# usage: wait-ready.sh NAME OLD_BOOT_ID|none [SINCE]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
vm_vars "$1"
old=$2
ready() {
	local s
	alive "$S/loop.pid" || return 1
	s=$(node_state "$name") && [ "${s%% *}" != "$old" ] && [[ $s == *" True "* ]]
}
WAIT_STEP=0.5 wait_for "${WAIT:-600}" "node $name" ready || { tail -5 "$S/console.log" >&2; exit 1; }
echo "node $name Ready $(since "$(cat "$S/started")") s after its power-on, kernel $(node_state "$name" | cut -d' ' -f3)"
