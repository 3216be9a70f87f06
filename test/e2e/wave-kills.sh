#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a wave hangs on is killed in the middle of it, one after the other: API server, etcd, the controller that leads, its
# pod and node agents. Each wave ends, one node at a time, each node cordoned once and free again, its devices allocatable.
# Needs the nodes that wave.sh leaves; the guest, where there is one, takes part.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
. "$e2e/disturbed-steps.sh"
steps_init
infra_init() { pgrep -P "$(cat "$RUN/infra.pid")" | head -1; }
infra_pid() { pgrep --ns "$(infra_init)" --nslist pid -f "^$1 " | head -1; } # infra_pid PROGRAM: of the control plane
two_controllers() {
	"$e2e/../cluster/helm" upgrade farrier "$SRC/manifests/chart" --namespace farrier-system --reuse-values \
		--set controller.replicas=2 >"$RUN/logs/helm.log" 2>&1 || fail "helm: $(tail -2 "$RUN/logs/helm.log")" || return
	wait_for 240 "two controllers" pods_ready farrier-system "$(has_guest && echo 9 || echo 8)" || fail "$(controllers)" || return
	wait_for 60 "a leader" leads || fail "Lease: $(lease), controllers: $(controllers)"
}
# --- what is done in the middle of a wave; each says what it has hit ----------------------------------
away_for() { # away_for SECONDS PROGRAM: killed, and held back for a while
	local pid
	pid=$(infra_pid "$2")
	[ -n "$pid" ] || return
	: >"$RUN/logs/$2.stop"
	kill -KILL "$pid" || return
	sleep "$1"
	rm -f "$RUN/logs/$2.stop"
	echo "$2 was killed and away for $1 s"
}
kill_api() { away_for 15 kube-apiserver; }
kill_etcd() { away_for 5 etcd; }
kill_leader() { # its process: the kubelet starts it again, and meanwhile the other one may lead
	local pod node
	read -r pod node <<<"$(leader_pod)"
	[ -n "$pod" ] || return
	if [ "$node" = $NODE ]; then
		guest -t 60 'pkill -KILL -x farrier-control' || return
	else
		in_node "$node" pkill -KILL -x farrier-control || return
	fi
	echo "the leader, $pod on $node, was killed"
}
replace_leader() { # its pod, without the grace in which it would give the Lease back
	local pod node
	read -r pod node <<<"$(leader_pod)"
	[ -n "$pod" ] || return
	k -n farrier-system delete pod "$pod" --force --grace-period=0 >/dev/null 2>&1 || return
	echo "the leader's pod, $pod on $node, was deleted"
}
kill_agents() {
	local n
	for n in $NODES; do in_node "$n" pkill -KILL -x farrier-driver- || return; done
	! has_guest || guest -t 60 'pkill -KILL -x farrier-driver-' || return
	echo "all agents were killed"
}
trap 'rm -f "$RUN"/logs/{kube-apiserver,etcd}.stop' EXIT
can_have_nodes || { echo "skip wave-kills: nodes in namespaces need cgroup v1 on this machine"; exit 0; }
check "wave-kills: two controllers" two_controllers || exit 1
check "wave-kills: API server, in the middle of a wave" disturbed kill_api 1.0
check "wave-kills: etcd" disturbed kill_etcd 1.1
check "wave-kills: the controller that leads" disturbed kill_leader 1.0
check "wave-kills: its pod, another one leads" disturbed replace_leader 1.1
check "wave-kills: all node agents" disturbed kill_agents 1.0
exit $bad
