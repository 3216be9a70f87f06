#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many reboots, from kernel to kernel and back, orderly and by power cut: each time the devices are with the kubelet
# within 5 s of its socket, and nothing is compiled. Needs the cluster and guest that road.sh leaves.
# usage: reboots.sh      env: REBOOTS (default 12)
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
times=()
once() { # once KERNEL [--crash]
	old_boot=$(node_state $NODE | cut -d' ' -f1)
	"$e2e/../node/reboot.sh" $NODE "$@" >"$RUN/logs/reboot.log" 2>&1 || fail "$(tail -1 "$RUN/logs/reboot.log")" || return
	WAIT_STEP=0.5 wait_for 600 "devices allocatable" back || fail "allocatable: '$(allocatable)'" || return
	[ "$(guest -t 60 uname -r | tr -d '\r\n')" = "$1" ] || fail "the node runs $(guest uname -r)" || return
	step_times || return
	times+=("$registered_in")
	awk -v t="$registered_in" 'BEGIN { exit !(t < 5) }' || fail "devices $registered_in s after kubelet.sock" || return
	step_nothing_compiled
}
for ((i = 1; i <= ${REBOOTS:-12}; i++)); do
	kernel=$OLD how=()
	[ $((i % 2)) = 1 ] || kernel=$NEW
	[ $((i % 3)) != 0 ] || how=(--crash)
	check "reboot $i into $kernel ${how[*]}" once "$kernel" "${how[@]}"
done
echo "   seconds from kubelet.sock to the devices: ${times[*]}"
exit $bad
