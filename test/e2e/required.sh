#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A driver whose policy says rebootRequired: its new version reboots the drained node inside the wave. The node was cordoned
# by an admin before, and stays so. Then the way back without a reboot. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/holders.sh"
boot_id() { guest -t 60 'cat /proc/sys/kernel/random/boot_id' | tr -d '\r\n'; }
cordoned() { [ "$(api "api/v1/nodes/$NODE" | jget spec unschedulable)" = true ]; }
module_version() { guest -t 60 'cat /sys/module/edu/version' | tr -d '\r\n'; }
begin() {
	hold first || return
	guest -t 60 'rm -rf /usr/src/edu-1.2; cp -r /usr/src/edu-1.0 /usr/src/edu-1.2; sed -i "s/MODULE_VERSION(\"1.0\")/MODULE_VERSION(\"1.2\")/" /usr/src/edu-1.2/edu.c'
	k cordon $NODE >/dev/null && cordoned || fail "kubectl cordon"
}
roll() { # roll VERSION REBOOT: sets steps to the states that its record went through
	local end=$((SECONDS + 900 * ${FARRIER_SLOW:-1})) now_ was=""
	steps=""
	k patch acceleratordriver edu --type=merge -p "{\"spec\":{\"version\":\"$1\",\"source\":{\"host\":{\"path\":\"/usr/src/edu-$1\"}},
\"upgradePolicy\":{\"rebootRequired\":$2,\"drain\":{\"enable\":true,\"force\":true},\"podDeletion\":{\"force\":true}}}}" >/dev/null || fail "kubectl patch" || return
	until [ "$was" = upgrade-done ] && [ "$(driver_field edu loadedVersion)" = "$1" ]; do
		now_=$(accnode | jget spec upgrade state)
		[ -z "$now_" ] || [ "$now_" = "$was" ] || { was=$now_ steps+=" $now_"; }
		[ "$was" != upgrade-failed ] && [ $SECONDS -lt $end ] || { fail "went$steps: $(accnode | jget spec upgrade), edu $(driver_field edu state) $(driver_field edu reason)"; return; }
		sleep 0.3
	done
	echo "   its record went:$steps"
	[ "$(module_version)" = "$1" ] || fail "the module says $(module_version)"
}
rebooted() {
	local old
	old=$(boot_id)
	roll 1.2 true || return
	[[ "$steps" == *" reboot-required"* ]] || fail "no reboot-required among$steps" || return
	[ "$(boot_id)" != "$old" ] || fail "the same boot" || return
	[ -z "$(pod_phase first)" ] || fail "the pod that held a card is still there: $(pod_phase first)" || return
	wait_for 120 "devices" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)"
}
still_cordoned() {
	cordoned || fail "the admin's cordon is gone" || return
	[ -z "$(api "api/v1/nodes/$NODE" | jget metadata annotations farrier.dev/cordoned)" ] || fail "our annotation is on it"
}
replaced() {
	local old
	old=$(boot_id)
	roll 1.0 false || return
	[[ "$steps" != *reboot* ]] || fail "went$steps" || return
	[ "$(boot_id)" = "$old" ] || fail "it rebooted" || return
	wait_for 120 "devices" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)" || return
	still_cordoned
}
cleanup() {
	k uncordon $NODE >/dev/null
	release
}
trap cleanup EXIT
check "required: a pod holds a card, an admin cordons the node" begin || exit 1
check "required: version 1.2 reboots the drained node inside its wave" rebooted
check "required: the admin's cordon outlives that" still_cordoned
check "required: back to 1.0 without a reboot, still cordoned" replaced
exit $bad
