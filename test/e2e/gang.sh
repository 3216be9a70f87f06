#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A gang of three pods, placed by Kubernetes' own gang scheduling (alpha, 1.36), on three namespaced nodes: a driver version
# rolls over them in one wave, and each pod is evicted once. Makes its cluster when there is none: K8S_VERSION=v1.36.3.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
. "$e2e/gang-steps.sh"
mkdir -p "$RUN/logs"
steps_init
gates=--feature-gates=GenericWorkload=true,GangScheduling=true
knows_gangs() { api apis/scheduling.k8s.io/v1alpha2 | grep -q '"podgroups"'; }
can_have_nodes || { echo "skip gang: nodes in namespaces need cgroup v1 on this machine"; exit 0; }
if ! alive "$RUN/infra.pid"; then
	export APISERVER_ARGS="$gates --runtime-config=scheduling.k8s.io/v1alpha2=true" SCHEDULER_ARGS=$gates KCM_ARGS=$gates
	[[ "$K8S_VERSION" != v1.3[0-5].* ]] || { echo "skip gang: Kubernetes $K8S_VERSION has no gangs of its own"; exit 0; }
fi
check "gang: three namespaced nodes with the driver" gang_nodes || exit 1
knows_gangs || { echo "skip gang: this cluster runs without gangs"; exit 0; }
check "gang: all start or none" gang_starts "$e2e/objects/gang.yaml" || exit 1
check "gang: too large for the budget, named and left alone" gang_too_large || exit 1
check "gang: one wave, evicted once, back whole" gang_in_one_wave || exit 1
check "gang: taken apart by a policy without patience, and that is seen" gang_apart
k delete -f "$e2e/objects/gang.yaml" >/dev/null 2>&1
exit $bad
