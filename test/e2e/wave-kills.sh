#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a wave hangs on is killed in the middle of it, one after the other: API server, etcd, the controller that leads, its
# pod and node agents. Each wave ends, one node at a time, each node cordoned once and free again, its devices allocatable.
# Needs the nodes that wave.sh leaves; the guest, where there is one, takes part.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
steps_init
infra_init() { pgrep -P "$(cat "$RUN/infra.pid")" | head -1; }
infra_pid() { pgrep --ns "$(infra_init)" --nslist pid -f "^$1 " | head -1; } # infra_pid PROGRAM: of the control plane
in_node() { "$e2e/../cluster/exec.sh" "$@"; }
lease() { api apis/coordination.k8s.io/v1/namespaces/farrier-system/leases | $PY -c 'import json, sys
print(*(x["spec"].get("holderIdentity", "") for x in json.load(sys.stdin)["items"]))'; }
controllers() { api "api/v1/namespaces/farrier-system/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dcontroller" | $PY -c 'import json, sys
for p in json.load(sys.stdin)["items"]:
    print(p["metadata"]["name"], p["spec"].get("nodeName", ""), p["metadata"]["uid"])'; }
leader_pod() { # name and node of the pod whose name the Lease's holder begins with
	local holder name node _
	holder=$(lease)
	while read -r name node _; do [[ "$holder" != "$name"* ]] || echo "$name $node"; done < <(controllers)
}
two_controllers() {
	"$e2e/../cluster/helm" upgrade farrier "$SRC/manifests/chart" --namespace farrier-system --reuse-values \
		--set controller.replicas=2 >"$RUN/logs/helm.log" 2>&1 || fail "helm: $(tail -2 "$RUN/logs/helm.log")" || return
	wait_for 240 "two controllers" pods_ready farrier-system "$(has_guest && echo 9 || echo 8)" || fail "$(controllers)" || return
	wait_for 60 "a leader" leads || fail "Lease: $(lease), controllers: $(controllers)"
}
leads() { [ -n "$(leader_pod)" ]; }
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
middle() { # one node has the new version, another is cordoned: that is the middle
	local last
	last=$(tail -n 1 "$RUN/wave.samples" 2>/dev/null) || return
	[ -n "$last" ] && [[ "$(cut -d" " -f2 <<<"$last")" != [-?] && "$(cut -d' ' -f3 <<<"$last")" != - ]]
}
once_each() { # no node was cordoned, let go and cordoned again
	awk -v all="$1" '$2 == "?" { next } $2 != was && $2 != "-" { times[$2]++ } { was = $2 }
		END { for (n in times) { nodes++; if (times[n] > 1) bad = bad " " n } if (nodes != all || bad) { print nodes " nodes, more than once:" bad; exit 1 } }' \
		"$RUN/wave.samples" >"$RUN/logs/once" || fail "$(cat "$RUN/logs/once")"
}
all_free() { # nobody is cordoned, and each node's record says that it is done
	api api/v1/nodes | $PY -c 'import json, sys
sys.exit(any(n["spec"].get("unschedulable") for n in json.load(sys.stdin)["items"]))' && on_all upgrade-done upgrade_state && on_all 2 allocatable
}
upgrade_state() { accnode "$1" | jget spec upgrade state; }
disturbed() { # disturbed FUNCTION VERSION
	local hitter was
	was=$(lease)
	rm -f "$RUN/wave.samples" "$RUN/logs/hit"
	(WAIT_STEP=0.2 wait_for 600 "the middle" middle && "$1" >"$RUN/logs/hit" 2>&1) &
	hitter=$!
	step_roll "$2" || { kill $hitter 2>/dev/null; wait $hitter; return 1; }
	wait $hitter || fail "nothing was hit: $(cat "$RUN/logs/hit" 2>/dev/null)" || return
	[ -s "$RUN/logs/hit" ] || fail "nothing was hit" || return
	echo "   $(tail -1 "$RUN/logs/hit"); the Lease was of ${was%%_*}, is of $(lease)"
	wave_story | sed 's/^/   /'
	wait_for 300 "all nodes free, with their devices" all_free || fail "$(for n in $NODES; do echo "$n=$(upgrade_state "$n")/$(allocatable "$n")"; done)" || return
	one_at_a_time && once_each "$(has_guest && echo 4 || echo 3)"
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
