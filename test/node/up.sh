#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes (or starts again) the QEMU guest NAME as a node of the cluster in $RUN and waits until it is Ready.
# The control plane must run. The guest reboots by itself; its disk is an overlay in $RUN/vm-NAME.
# usage: up.sh NAME [ABI]     env: IMAGES="image tars"  NOWAIT=1  WAIT=seconds  and those of qemu.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
vm_vars "$1"
t0=$(now)
golden=$("$node_here/mkgolden.sh")
# shellcheck disable=SC2086
store=$("$node_here/mkstore.sh" ${IMAGES:-})
[ -s "$S/disk.qcow2" ] || qemu-img create -q -f qcow2 -F raw -b "$golden/golden.img" "$S/disk.qcow2"
[ -s "$S/store.qcow2" ] || qemu-img create -q -f qcow2 -F raw -b "$store" "$S/store.qcow2"
[ -n "${2:-}" ] && echo "$2" >"$S/kernel"
[ -s "$S/kernel" ] || echo "${KERNELS%% *}" >"$S/kernel"
vm_cfg
infra ip link show "tap-$name" >/dev/null 2>&1 || {
	infra ip tuntap add dev "tap-$name" mode tap
	infra ip link set "tap-$name" master $BRIDGE up
}
infra ip route replace "$POD_NET.$i.0/24" via "$ip"
old=$(node_state "$name" | cut -d' ' -f1 || true)
alive "$S/loop.pid" || {
	rm -f "$S/qemu.pid"
	nsenter -t "$(cat "$RUN/infra.pid")" -n setsid "$node_here/qemu.sh" "$S" "$golden" "$i" </dev/null >"$S/loop.log" 2>&1 &
	echo $! >"$S/loop.pid"
	WAIT_STEP=0.1 wait_for 20 "QEMU of $name" alive "$S/qemu.pid" || { cat "$S/loop.log" "$S/qemu.log" >&2; exit 1; }
}
[ -z "${NOWAIT:-}" ] || exit 0
exec "$node_here/wait-ready.sh" "$name" "${old:-none}" "$t0"
