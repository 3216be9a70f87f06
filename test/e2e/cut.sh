#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernel upgrade once more, with the control plane cut off from the node: while the kernel is installed and the module
# built, while it reboots, and with a link that comes and goes all the time. Whatever happens without anybody there is told
# when the link is back. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
flapper=""
unplug() { infra ip link set tap-$NODE down || fail "no link"; }
plug_in() { # QEMU makes the tap anew when it starts again
	infra ip link set tap-$NODE up || fail "no link"
}
hears_nothing() { ! infra curl -sk --max-time 2 -o /dev/null "https://$ip:10250/healthz"; } # its kubelet
local_state() { # local_state KERNEL: of edu for it, by the file on the node
	guest -t 60 'cat /run/farrier/status.json' | $PY -c 'import json, sys
for k in json.load(sys.stdin).get("kernels", []):
    for d in k.get("drivers", []):
        if k["release"] == sys.argv[1] and d["name"] == "edu": print(d.get("state", ""))' "$1"
}
has_no_new() { [ -z "$(local_state $NEW)" ]; }
rewind() { # as before the upgrade: on the old kernel, the new one was never there
	if [ "$(guest -t 60 uname -r | tr -d '\r\n')" != $OLD ]; then
		"$e2e/../node/reboot.sh" $NODE $OLD >"$RUN/logs/reboot.log" 2>&1 || fail "$(tail -1 "$RUN/logs/reboot.log")" || return
	fi
	guest -t 300 "p=\$(dpkg-query -W -f '\${Package}\n' 'linux-*-${NEW%-amd64}*'); [ -z \"\$p\" ] || DEBIAN_FRONTEND=noninteractive dpkg -P --force-depends \$p
rm -rf /lib/modules/$NEW
for m in /var/lib/farrier/store/*/*/manifest.json; do ! grep -q '\"kernel\": *\"$NEW\"' \$m || rm -r \${m%/*}; done" >"$RUN/logs/purge.log" ||
		fail "dpkg -P: $(tail -1 "$RUN/logs/purge.log")" || return
	wait_for 240 "$NEW to be forgotten" has_no_new || fail "edu for $NEW: $(local_state $NEW)" || return
	wait_for 300 "the devices" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)"
}
staged_locally() {
	step_kernel || return
	wait_for 600 "edu staged for $NEW" is Ready local_state $NEW || fail "edu for $NEW: $(local_state $NEW)" || return
	guest -t 30 "ls /lib/modules/$NEW/updates/farrier/edu.ko" >/dev/null || fail "not installed for the next boot"
}
staged_alone() {
	unplug || return
	wait_for 30 "the link to be gone" hears_nothing || fail "it still answers" || return
	staged_locally || return
	hears_nothing || fail "the link was there" || return
	[ -z "$(kernel_driver_field $NEW edu state)" ] || fail "the API server knows already"
}
told() {
	plug_in || return
	step_staged
}
boots() { # the guest in another boot, by its serial line; its devices with the kubelet
	wait_for 240 "the guest's shell" guest -t 10 true || fail "no shell" || return
	wait_for 120 "module edu" guest -t 20 'test -d /sys/module/edu && ls /sys/bus/pci/drivers/edu | grep -c : | grep -qx 2' || fail "edu is not loaded" || return
	wait_for 400 "devices with the kubelet" guest -t 20 'test -s /run/podres.json' || fail "not in GetAllocatableResources"
}
reboots_alone() { # the link is cut before it goes down and as soon as it has a network again
	old_boot=$(node_state $NODE | cut -d' ' -f1)
	unplug || return
	NOWAIT=1 DOWN_WAIT=300 "$node_here/reboot.sh" $NODE >"$RUN/logs/reboot.log" 2>&1 || fail "$(tail -1 "$RUN/logs/reboot.log")" || return
	wait_for 20 "the link" unplug || fail "no link" || return
	boots || return
	hears_nothing || fail "the link was there" || return
	[ "$(guest -t 60 uname -r | tr -d '\r\n')" = $NEW ] || fail "the node runs $(guest uname -r)" || return
	step_times && echo "   kubelet.sock to GetAllocatableResources, cut off: $registered_in s"
}
agent_is_back() { [ "$(accnode | jget status bootID)" = "$(guest -t 20 'cat /proc/sys/kernel/random/boot_id' | tr -d '\r\n')" ]; }
node_is_back() { back && [ "$(node_state $NODE | cut -d' ' -f2)" = True ]; }
back_and_told() {
	plug_in || return
	wait_for 300 "the node" node_is_back || fail "the node is not Ready with its devices" || return
	wait_for 300 "the agent's report" agent_is_back || fail "the agent has not reported this boot" || return
	step_nothing_compiled
}
flap() { # down for as long as it is up
	while sleep 4; do
		infra ip link set tap-$NODE down 2>/dev/null
		sleep 4
		infra ip link set tap-$NODE up 2>/dev/null
	done
}
stop_flapping() {
	[ -z "$flapper" ] || kill "$flapper" 2>/dev/null
	flapper=""
}
all_of_it() {
	rewind || return
	flap &
	flapper=$!
	staged_locally || return
	old_boot=$(guest -t 60 'cat /proc/sys/kernel/random/boot_id' | tr -d '\r\n')
	NOWAIT=1 DOWN_WAIT=300 "$node_here/reboot.sh" $NODE >"$RUN/logs/reboot.log" 2>&1 || fail "$(tail -1 "$RUN/logs/reboot.log")" || return
	boots || return
	stop_flapping
	back_and_told
}
trap 'stop_flapping; plug_in' EXIT
check "cut: the node before its upgrade" rewind || exit 1
check "cut: $NEW is installed and edu staged for it, with nobody there" staged_alone || exit 1
check "cut: the link is back, the API server hears of it" told
check "cut: it reboots with nobody there, devices with the kubelet" reboots_alone || exit 1
check "cut: the link is back, node and agent report, nothing was compiled" back_and_told
check "cut: all of it with a link that comes and goes" all_of_it
exit $bad
