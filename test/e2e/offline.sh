#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The API server is away while the node reboots: the driver is loaded all the same, and the devices are registered with
# the kubelet before the API server is back. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
api_pid() { pgrep --ns "$(pgrep -P "$(cat "$RUN/infra.pid")" | head -1)" --nslist pid -f '^kube-apiserver ' | head -1; }
api_is_away() { ! api readyz >/dev/null; }
stop_api() {
	: >"$RUN/logs/kube-apiserver.stop" # holds back the supervisor
	kill "$(api_pid)" || fail "no API server to stop" || return
	wait_for 60 "the API server to end" api_is_away || fail "it still answers"
}
start_api() {
	rm -f "$RUN/logs/kube-apiserver.stop"
	wait_for 120 "the API server" api readyz || fail "it does not come back"
}
trap 'rm -f "$RUN/logs/kube-apiserver.stop"' EXIT
reboot_alone() {
	local qemu
	qemu=$(cat "$S/qemu.pid")
	timeout 20 "$node_here/guest.py" "$S" -t 10 'sync; systemctl reboot' >/dev/null 2>&1
	wait_for 240 "the guest to go down" eval "! kill -0 $qemu 2>/dev/null" || fail "the guest does not go down" || return
	wait_for 20 "QEMU" alive "$S/qemu.pid" || fail "QEMU does not start again" || return
	wait_for 240 "the guest's shell" guest -t 10 true || fail "no shell"
}
loaded() {
	wait_for 120 "module edu" guest -t 20 'test -d /sys/module/edu && ls /sys/bus/pci/drivers/edu | grep -c : | grep -qx 2' ||
		fail "edu is not loaded or not bound" || return
	api_is_away || fail "the API server was there"
}
registered() {
	wait_for 400 "devices with the kubelet" guest -t 20 'test -s /run/podres.json' || fail "not in GetAllocatableResources" || return
	api_is_away || fail "the API server was there" || return
	step_times && echo "   kubelet.sock to GetAllocatableResources, no API server: $registered_in s"
}
agent_is_back() { [ "$(accnode | jget status bootID)" = "$(guest -t 20 'cat /proc/sys/kernel/random/boot_id' | tr -d '\r\n')" ]; }
node_is_back() { [ "$(node_state $NODE | cut -d' ' -f2)" = True ] && is $CARDS_WANTED allocatable; }
all_well() {
	wait_for 300 "the node" node_is_back || fail "the node is not Ready with its devices" || return
	wait_for 300 "the agent's report" agent_is_back || fail "the agent has not reported this boot" || return
	step_nothing_compiled
}
held=$(pod_run factorial)
check "offline: API server stopped" stop_api || exit 1
check "offline: the node reboots without it" reboot_alone || { start_api; exit 1; }
check "offline: driver loaded without it" loaded
check "offline: devices registered before it is back" registered
check "offline: API server started again" start_api || exit 1
check "offline: node and agent report, nothing was compiled" all_well
check "offline: the bare pod that held a card has survived" step_pod_survived "$held"
exit $bad
