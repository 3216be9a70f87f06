#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The four policies of the Topology Manager, on a node with two NUMA nodes and a card on each: what must be aligned is,
# what cannot be is refused, and a pod sees its own card and no other. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
pod() { # pod NAME CARDS CPUS: Guaranteed, so that a whole number gets whole CPUs; tells its cards and CPUs, and computes
	k apply -f - >/dev/null <<-Y
		apiVersion: v1
		kind: Pod
		metadata: { name: $1, labels: { app: policies } }
		spec:
		  nodeSelector: { farrier.test/vm: "true" }
		  restartPolicy: Never
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: c
		    image: registry.local/edutest:1
		    imagePullPolicy: Never
		    command: [ /bin/sh, -c, 'trap "exit 0" TERM; echo cards \$(ls /dev/edu*); grep Cpus_allowed_list /proc/self/status; for d in /dev/edu*; do edutest \$d fact 10 || exit 1; done; sleep 1000000 & wait' ]
		    resources: { limits: { $RESOURCE: $2, cpu: "$3", memory: 32Mi } }
	Y
}
log_of() { api "api/v1/namespaces/default/pods/$1/log"; }
computes() { [ "$(log_of "$1" | grep -c '10! = 3628800')" = "$2" ]; }
runs() { # runs NAME CARDS: it runs, computed on each of its cards, and saw no other
	wait_for 180 "pod $1" computes "$1" "$2" || fail "pod $1: $(pod_phase "$1") $(pod_reason "$1")" || return
	[ "$(log_of "$1" | sed -n 's/^cards //p' | wc -w)" = "$2" ] || fail "pod $1 sees $(log_of "$1" | grep cards)"
}
pod_reason() { api "api/v1/namespaces/default/pods/$1" | jget status reason; }
refused() {
	wait_for 120 "the refusal" is TopologyAffinityError pod_reason "$1" || fail "pod $1: $(pod_phase "$1") '$(pod_reason "$1")'"
}
numa_of_card() { # of the card that a pod holds
	guest -t 30 podres -list | $PY -c 'import json, sys
d = [x for x in json.load(sys.stdin) or [] if x["pod"].endswith("/" + sys.argv[1])]
print(",".join(str(n) for x in d for n in x["numa"]))' "$1"
}
numa_of_cpus() { # CPUs 0 and 1 are node 0's, 2 and 3 node 1's
	log_of "$1" | sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' | tr , '\n' | while IFS=- read -r a b; do
		seq "$a" "${b:-$a}"
	done | awk '{ n[int($1 / 2)] = 1 } END { for (x in n) printf "%s%s", s++ ? "," : "", x }'
}
aligned() {
	local card cpus
	card=$(numa_of_card "$1") cpus=$(numa_of_cpus "$1")
	[ -n "$card" ] && [ "$card" = "$cpus" ] || fail "card on NUMA node '$card', CPUs on '$cpus'"
}
no_pods() { [ "$(api "api/v1/namespaces/default/pods?labelSelector=app%3Dpolicies" | grep -c '"phase"')" = 0 ]; }
clear_pods() {
	k delete pods -l app=policies --force --grace-period=0 >/dev/null 2>&1
	wait_for 120 "the pods to go" no_pods || fail "pods are left"
}
in_force() { # with this policy the kubelet runs and has the devices
	guest -t 20 "grep -q '^topologyManagerPolicy: $1\$' /etc/kubernetes/kubelet.yaml" && is $CARDS_WANTED allocatable &&
		guest -t 20 podres | $PY -c 'import json, sys
sys.exit(sum(1 for d in json.load(sys.stdin) or [] if d["resource"] == sys.argv[1]) != int(sys.argv[2]))' $RESOURCE $CARDS_WANTED
}
policy() { # the kubelet again with another policy: its CPU state is of the old one
	clear_pods || return
	guest -t 120 "systemctl stop kubelet; rm -f /var/lib/kubelet/{cpu,memory}_manager_state
sed -i 's/^topologyManagerPolicy: .*/topologyManagerPolicy: $1/' /etc/kubernetes/kubelet.yaml; systemctl start kubelet" >/dev/null
	wait_for 240 "the kubelet with its devices" in_force "$1" || fail "allocatable: '$(allocatable)'"
}
two_cpus() { # on node 1, the only one with two whole CPUs to give: node 0's first is reserved
	pod "$1-one" 1 2
	runs "$1-one" 1 || return
	[ "$1" = none ] || aligned "$1-one"
}
# No single NUMA node has two. Half a CPU comes from the shared pool and has no hint: with a whole one, that one's narrower
# affinity would make every common one less than preferred, and "restricted" refuse it.
both_cards() {
	clear_pods || return
	pod "$1-both" 2 500m
	if [ "$1" = single-numa-node ]; then refused "$1-both"; else runs "$1-both" 2; fi
}
k delete pod factorial --ignore-not-found --force --grace-period=0 >/dev/null 2>&1
for p in none best-effort restricted single-numa-node; do
	check "policies: the kubelet runs with $p, devices come back by themselves" policy $p || continue
	check "policies: $p: one card and two CPUs" two_cpus $p
	check "policies: $p: two cards on two NUMA nodes are $([ $p = single-numa-node ] && echo refused || echo given)" both_cards $p
done
clear_pods
exit $bad
