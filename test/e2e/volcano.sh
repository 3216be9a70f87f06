#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# As gang.sh, with Volcano: its scheduler places the gang, a job of its own. Its programs and custom resource definitions
# come from its Go module (test/volcano/build.sh).
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
. "$e2e/gang-steps.sh"
mkdir -p "$RUN/logs"
steps_init
infra_init() { pgrep -P "$(cat "$RUN/infra.pid")" | head -1; }
in_background() { # in_background PROGRAM ARG...: in the control plane's namespaces; it ends with them
	! alive "$RUN/$1.pid" || return 0
	setsid nsenter -t "$(infra_init)" -a "$VOLCANO/$1" --kubeconfig "$RUN/admin.kubeconfig" --leader-elect=false "${@:2}" \
		</dev/null >"$RUN/logs/$1.log" 2>&1 &
	echo $! >"$RUN/$1.pid"
}
finish() {
	watch_ends
	for p in vc-scheduler vc-controller-manager; do
		! alive "$RUN/$p.pid" || pkill -P "$(cat "$RUN/$p.pid")"
		rm -f "$RUN/$p.pid"
	done
}
trap finish EXIT
queue_open() { [ "$(api apis/scheduling.volcano.sh/v1beta1/queues/default | jget status state)" = Open ]; }
volcano_runs() {
	local f
	for f in "$VOLCANO"/*.yaml; do
		k apply --server-side -f "$f" >>"$RUN/logs/volcano-crd.log" 2>&1 || fail "$f: $(tail -1 "$RUN/logs/volcano-crd.log")" || return
	done
	k wait --for=condition=Established crd --all --timeout=60s >>"$RUN/logs/volcano-crd.log" 2>&1 || fail "definitions: see $RUN/logs" || return
	cat >"$RUN/volcano.conf" <<-C
		actions: "enqueue, allocate, backfill"
		tiers:
		- plugins: [ { name: priority }, { name: gang }, { name: conformance } ]
		- plugins: [ { name: predicates }, { name: proportion }, { name: nodeorder } ]
	C
	in_background vc-controller-manager --controllers=+gc-controller,+job-controller,+pg-controller,+queue-controller
	in_background vc-scheduler --scheduler-conf "$RUN/volcano.conf" --schedule-period=1s
	wait_for 180 "Volcano's queue" queue_open ||
		fail "$(tail -qn 1 "$RUN"/logs/vc-{scheduler,controller-manager}.log | tr '\n' ';')"
}
can_have_nodes || { echo "skip volcano: nodes in namespaces need cgroup v1 on this machine"; exit 0; }
VOLCANO=$("$e2e/../volcano/build.sh") || exit 3
check "volcano: three namespaced nodes with the driver" gang_nodes || exit 1
check "volcano: its scheduler and controllers" volcano_runs || exit 1
check "volcano: all start or none" gang_starts "$e2e/objects/gang-volcano.yaml" || exit 1
check "volcano: too large for the budget, named and left alone" gang_too_large || exit 1
check "volcano: one wave, evicted once, back whole" gang_in_one_wave || exit 1
check "volcano: taken apart by a policy without patience, and that is seen" gang_apart
k delete -f "$e2e/objects/gang-volcano.yaml" >/dev/null 2>&1
exit $bad
