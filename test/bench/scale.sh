#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The controller beside a client-go program with an informer of Nodes: memory, cold start, CPU of an event, writes of a
# changed node. Both watch the same streaming stand-in of an API server (test/bench/scale/apistub), which makes nodes
# with two accelerators while it sends them. Ours watches an AcceleratorNode for each as well, its peer Nodes alone.
# Prints "WHAT|OURS|PEER|RATIO", one line a figure.
# usage: scale.sh [NODES...]    default: 1000 100000
#        scale.sh real NODES    on etcd and a kube-apiserver of its own, as root
set -euo pipefail
cd "$(dirname "$0")/../.."
make -s build/farrier-controller >&2
tools=$(test/bench/scale/build.sh)
w=$(mktemp -d /tmp/farrier-scale.XXXXXX)
export RUN=$w/cluster
cleanup() {
	[ ! -d "$RUN" ] || test/cluster/down.sh >&2
	rm -rf --one-file-system "$w"
}
trap cleanup EXIT
bench() { "$@" || { tail -5 "$w/controller.log" >&2; exit 1; }; }
if [ "${1:-}" = real ]; then
	mkdir -p "$RUN/logs"
	: >"$RUN/logs/kube-controller-manager.stop" # it would find that these nodes have no kubelets
	test/cluster/up.sh 0 >&2
	for f in manifests/chart/files/crds/*.farrier.dev.yaml; do test/cluster/kubectl apply -f "$f" >/dev/null; done
	test/cluster/kubectl create namespace farrier-system >/dev/null
	bench test/cluster/exec.sh - /usr/bin/python3 "$PWD/test/bench/scale.py" "$PWD/build/farrier-controller" "$tools" "$w" real "$RUN" "$2"
	exit
fi
[ $# -gt 0 ] || set -- 1000 100000
bench /usr/bin/python3 test/bench/scale.py build/farrier-controller "$tools" "$w" "$@"
