#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reboots the guest, same disk, and waits until its node is Ready again. Without ABI: into the kernel that its own
# /vmlinuz points to. --crash: QEMU is killed, as if power were cut. NOWAIT=1 returns when the new boot began.
# usage: reboot.sh NAME [ABI] [--crash]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
vm_vars "$1"
shift
old=$(node_state "$name" | cut -d' ' -f1 || true)
qemu=$(cat "$S/qemu.pid")
case ${1:-} in
6.*) guest -t 30 "ln -sfn boot/vmlinuz-$1 /vmlinuz" && abi=$1 && shift ;;
esac
if [ "${1:-}" = --crash ]; then
	vm_stop
	[ -z "${abi:-}" ] || echo "$abi" >"$S/kernel"
	exec "$node_here/up.sh" "$name"
fi
timeout 20 "$node_here/guest.py" "$S" -t 10 'sync; systemctl reboot' >/dev/null 2>&1 || true
gone() { ! kill -0 "$qemu" 2>/dev/null; }
wait_for "${DOWN_WAIT:-180}" "$name to go down" gone
WAIT_STEP=0.1 wait_for 20 "$name to start again" alive "$S/qemu.pid"
[ -z "${NOWAIT:-}" ] || exit 0
exec "$node_here/wait-ready.sh" "$name" "${old:-none}"
