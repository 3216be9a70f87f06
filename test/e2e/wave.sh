#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three namespaced nodes, with a faked kernel, join: a change of the driver's version rolls over all nodes one at a time,
# and the pod that holds a device goes before the module does. Beside the guest where there is one, else alone.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
mkdir -p "$RUN/logs"
steps_init
drained_first() { # the pod is never seen while n2 already runs the new version, and is gone in the end
	awk '$3 ~ /n2/ && $4 == "Running" { bad = 1 } $2 ~ /n2/ { c = 1 } END { exit !(c && !bad) }' "$RUN/wave.samples" ||
		fail "the pod was there while n2 ran the new version, or n2 was not seen cordoned" || return
	[ "$(tail -1 "$RUN/wave.samples" | cut -d' ' -f4)" != Running ] || fail "the pod was not drained"
}
devices_again() { wait_for 120 "devices on all nodes" on_all 2 allocatable || fail "allocatable"; }
can_have_nodes || { echo "skip wave: nodes in namespaces need cgroup v1 on this machine"; exit 0; }
has_guest || alive "$RUN/infra.pid" || check "wave: control plane" step_cluster || exit 1
check "wave: three namespaced nodes" step_nodes || exit 1
check "wave: Farrier on them, on a faked kernel" step_install_shim || exit 1
check "wave: version 1.0 on all of them" step_first_version || exit 1
check "wave: a pod holds a device" step_hold_device
check "wave: version 1.1 on all nodes" step_roll || exit 1
check "wave: one node at a time" one_at_a_time
check "wave: the pod went before the module" drained_first
check "wave: devices allocatable again" devices_again
exit $bad
