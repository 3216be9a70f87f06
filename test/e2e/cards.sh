#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a node does to its cards, on real PCI: plugged, pulled, unbound and bound again. Each time until the Node object
# has followed, with the time it took. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
capacity() { api "api/v1/nodes/$NODE" | jget status capacity $RESOURCE; }
counts() { [ "$(capacity)/$(allocatable)" = "$1" ]; } # counts CAPACITY/ALLOCATABLE
until_counts() { # until_counts CAPACITY/ALLOCATABLE: from now on; says how long it took
	local s
	s=$(now)
	WAIT_STEP=0.1 wait_for 180 "$1" counts "$1" || fail "capacity/allocatable is '$(capacity)/$(allocatable)', not $1" || return
	echo "   $1 in the Node object after $(since "$s") s"
}
plug() {
	"$node_here/qmp.sh" $NODE device_add driver=edu id=e2 bus=rp2 >"$RUN/logs/qmp.log" 2>&1 || fail "$(tail -1 "$RUN/logs/qmp.log")" || return
	until_counts 3/3
}
pull() { # the guest agrees to it: attention button, driver unbound, slot powered off
	"$node_here/qmp.sh" $NODE device_del id=e2 >"$RUN/logs/qmp.log" 2>&1 || fail "$(tail -1 "$RUN/logs/qmp.log")" || return
	# A device that is gone stays listed as Unhealthy (a pod may hold it): not allocatable.
	WAIT_STEP=0.1 wait_for 180 "two allocatable" is 2 allocatable || fail "allocatable: $(allocatable)"
}
card() { guest -t 20 "ls /sys/bus/pci/drivers/edu | grep : | head -1" | tr -d '\r\n'; }
unbind() {
	bdf=$(card)
	[ -n "$bdf" ] || fail "no card is bound" || return
	guest -t 20 "echo $bdf >/sys/bus/pci/drivers/edu/unbind"
	WAIT_STEP=0.1 wait_for 120 "one allocatable" is 1 allocatable || fail "allocatable: $(allocatable)" || return
	guest -t 20 "echo $bdf >/sys/bus/pci/drivers/edu/bind"
	WAIT_STEP=0.1 wait_for 120 "both allocatable" is 2 allocatable || fail "allocatable: $(allocatable)"
}
off_the_bus() { # config space is gone while the kernel still lists it: what a card that fell off looks like after a rescan
	bdf=$(card)
	guest -t 20 "echo 1 >/sys/bus/pci/devices/$bdf/remove"
	WAIT_STEP=0.1 wait_for 120 "one allocatable" is 1 allocatable || fail "allocatable: $(allocatable)" || return
	guest -t 20 "echo 1 >/sys/bus/pci/rescan"
	WAIT_STEP=0.1 wait_for 120 "both allocatable" is 2 allocatable || fail "allocatable: $(allocatable)"
}
check "cards: a third one is plugged" plug
check "cards: and pulled again" pull
check "cards: a driver is unbound and bound again" unbind
check "cards: removed from the bus, found again by a rescan" off_the_bus
exit $bad
