#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cards that go without a word: pulled by surprise, and fallen off the bus while their driver is bound. Each until the
# kubelet and the Node object have followed, with times; the other cards, and the pods on them, never notice. Needs the
# cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/holders.sh"
third="" port=""
until_gone() { # until_gone SINCE: the third card is no longer handed out
	WAIT_STEP=0.1 wait_for 120 "the kubelet" with_kubelet $CARDS_WANTED || fail "still in GetAllocatableResources" || return
	echo "   gone from GetAllocatableResources after $(since "$1") s"
	WAIT_STEP=0.1 wait_for 120 "the Node object" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)" || return
	echo "   and from the Node object after $(since "$1") s"
}
said() { # said CAUSE: of the third card, in devices.json
	guest -t 90 'cat /run/farrier/devices.json' | $PY -c 'import json, sys
d = next(x for x in json.load(sys.stdin)["devices"] if x["id"] == sys.argv[1])
sys.exit(not (d["health"] == "Unhealthy" and d["reason"] == "DeviceLost" and d["causes"] == [sys.argv[2]]))' "$third" "$1" 2>/dev/null
}
begin() {
	two_pods || return
	guest -t 90 "echo $(base64 -w0 "$node_here/pcioff.pl") | base64 -d >/run/pcioff.pl" || fail "no pcioff.pl in the guest"
}
plug() { # the third card; sets $third and $port
	local s
	s=$(now)
	"$node_here/qmp.sh" $NODE device_add driver=edu id=e2 bus=rp2 >"$RUN/logs/qmp.log" 2>&1 || fail "$(tail -1 "$RUN/logs/qmp.log")" || return
	WAIT_STEP=0.1 wait_for 120 "three with the kubelet" with_kubelet 3 || fail "not three" || return
	WAIT_STEP=0.1 wait_for 120 "the Node object" is 3 allocatable || fail "allocatable: $(allocatable)" || return
	echo "   allocatable after $(since "$s") s"
	third=$(guest -t 90 'ls /sys/bus/pci/drivers/edu | grep :' | tr -d '\r' | grep -vxF -e "${cards[0]}" -e "${cards[1]}")
	port=$(guest -t 90 "basename \$(dirname \$(readlink -f /sys/bus/pci/devices/$third))" | tr -d '\r\n')
	[ -n "$third" ] && [ -n "$port" ] || fail "third card '$third' at port '$port'"
}
is_gone() { guest -t 90 "! test -e /sys/bus/pci/devices/$third"; }
surprise() {
	local s
	s=$(now)
	# Above the hotplug driver's thread, on the CPU that takes the port's interrupt.
	guest -t 90 "irq=\$(ls /sys/bus/pci/devices/$port/msi_irqs | head -1)
chrt -f 90 taskset -c \$(cat /proc/irq/\$irq/effective_affinity_list) perl /run/pcioff.pl $port surprise" || fail "pcioff.pl" || return
	until_gone "$s" || return
	wait_for 60 "the kernel to take it away" is_gone || fail "$third is still there" || return
	wait_for 60 "the cause" said Gone || fail "$(guest -t 90 'cat /run/farrier/devices.json')" || return
	untouched
}
fall() {
	local s
	s=$(now)
	guest -t 90 "perl /run/pcioff.pl $port fall" || fail "pcioff.pl" || return
	until_gone "$s" || return
	guest -t 90 "test -e /sys/bus/pci/devices/$third/driver" || fail "the kernel took it away: that is another case" || return
	wait_for 60 "the cause" said OffTheBus || fail "$(guest -t 90 'cat /run/farrier/devices.json')" || return
	untouched || return
	guest -t 90 "echo 1 >/sys/bus/pci/devices/$third/remove" # the driver lets go of a card that does not answer
	wait_for 60 "the cause" said Gone || fail "$(guest -t 90 'cat /run/farrier/devices.json')"
}
back_and_pulled() { # the slot takes a card again, and gives it back in good order
	plug || return
	"$node_here/qmp.sh" $NODE device_del id=e2 >"$RUN/logs/qmp.log" 2>&1 || fail "$(tail -1 "$RUN/logs/qmp.log")" || return
	WAIT_STEP=0.1 wait_for 120 "two" with_kubelet $CARDS_WANTED || fail "not two" || return
	wait_for 60 "the kernel to take it away" is_gone || fail "$third is still there" || return
	untouched
}
cleanup() {
	release
	guest -t 90 'rm -f /run/pcioff.pl; systemctl restart farrier-device-plugin' # which lists lost cards for as long as it runs
	wait_for 60 "two" with_kubelet $CARDS_WANTED
}
trap cleanup EXIT
check "lost: two pods hold a card each" begin || exit 1
check "lost: a third card is plugged" plug || exit 1
check "lost: it is pulled by surprise" surprise
check "lost: another is plugged into that slot" plug
check "lost: it falls off the bus, driver and all" fall
check "lost: the slot takes a card again, pulled in good order" back_and_pulled
exit $bad
