#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The controller beside a client-go program with an informer of Nodes: memory, cold start, CPU of an event, writes of a
# changed node. Ours watches an AcceleratorNode for each as well, its peer Nodes alone. Both watch
#   the streaming stand-in of an API server (test/bench/scale/apistub), which makes nodes with two accelerators while it
#   sends them; nobody has to hold a hundred thousand of them, or
#   --real: kube-apiserver and etcd of the test cluster, with a fleet whose Nodes are made, and whose kubelets and agents
#   are played, through the API (test/bench/scale/fleet). As root.
# Prints "WHAT|OURS|PEER|RATIO", one line a figure; the server is named in it.
# usage: scale.sh [--real] [NODES...]    default: 1000 100000; with --real: 1000     env: BEATS: heartbeats measured;
#        CONTROLLER_ARGS: more arguments, as --stream-lists
set -euo pipefail
cd "$(dirname "$0")/../.."
real=0
[ "${1:-}" != --real ] || { real=1; shift; }
if [ $# = 0 ]; then
	set -- 1000
	[ $real = 1 ] || set -- 1000 100000
fi
make -s build/farrier-controller >&2
tools=$(test/bench/scale/build.sh)
w=$(mktemp -d "${TMPDIR:-/var/tmp}/farrier-scale.XXXXXX")
cleanup() {
	[ $real = 0 ] || test/cluster/down.sh || true
	rm -rf --one-file-system "$w"
}
[ $real = 0 ] || export RUN=$w/cluster
trap cleanup EXIT
bench=(/usr/bin/python3 test/bench/scale.py build/farrier-controller "$tools" "$w")
kubeconfig=-
if [ $real = 1 ]; then
	mkdir -p "$RUN/logs"
	# Nobody is to take these nodes for dead, to keep pods off them or to think about pods for them.
	touch "$RUN/logs/kube-scheduler.stop"
	KCM_ARGS="--controllers=serviceaccount-controller,namespace-controller" \
		APISERVER_ARGS="--disable-admission-plugins=TaintNodesByCondition" test/cluster/up.sh 0 >&2
	for f in manifests/chart/files/crds/*.farrier.dev.yaml; do test/cluster/kubectl create -f "$f" >&2; done
	test/cluster/kubectl wait --for=condition=Established crd --all --timeout=120s >&2
	test/cluster/kubectl create namespace farrier-system >&2
	test/cluster/kubectl apply -f test/e2e/objects/edu.yaml >&2
	kubeconfig=$RUN/admin.kubeconfig
	bench=(test/cluster/exec.sh - "${bench[@]}")
fi
"${bench[@]}" "$kubeconfig" "$@" || { tail -n 5 "$w/controller.log" >&2; exit 1; }
