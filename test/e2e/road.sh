#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From nothing to a kernel upgrade survived: the demo's steps as assertions.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
mkdir -p "$RUN/logs"
steps_init
fast() { # the promise: from the first answer of kubelet.sock to the devices, under 5 s
	step_times || return
	echo "   kubelet.sock to GetAllocatableResources: $registered_in s; to the Node object: $node_lag s"
	awk -v t="$registered_in" 'BEGIN { exit !(t < 5) }' || fail "took $registered_in s"
}
check "build" step_build || exit 1
check "image" step_images || exit 1
check "programs and disk of the node" step_prepare || exit 1
check "control plane" step_cluster || exit 1
check "guest node is Ready on $OLD" step_node || exit 1
check "helm install" step_install || exit 1
check "driver built, loaded, bound" step_driver || exit 1
check "devices allocatable" step_allocatable || exit 1
check "pod computes on a card" step_pod
check "second driver builds for $OLD" step_broken_driver
check "kernel $NEW installed by dpkg" step_kernel || exit 1
check "driver staged for $NEW before any reboot" step_staged
check "unbuildable driver reported before the reboot" step_reported
held=$(pod_run factorial)
check "devices allocatable after the reboot into $NEW" step_reboot || exit 1
check "the bare pod that held a card has survived the reboot" step_pod_survived "$held"
check "nothing compiled after the reboot" step_nothing_compiled
check "registered within 5 s of kubelet.sock" fast
exit $bad
