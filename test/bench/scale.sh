#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The controller beside a client-go program with an informer of Nodes: memory, cold start, CPU of an event, writes of a
# changed node. Both watch the same streaming stand-in of an API server (test/bench/scale/apistub), which makes nodes
# with two accelerators while it sends them. Ours watches an AcceleratorNode for each as well, its peer Nodes alone.
# Prints "WHAT|OURS|PEER|RATIO", one line a figure.
# usage: scale.sh [NODES...]    default: 1000 100000
set -euo pipefail
cd "$(dirname "$0")/../.."
make -s build/farrier-controller >&2
tools=$(test/bench/scale/build.sh)
w=$(mktemp -d /tmp/farrier-scale.XXXXXX)
trap 'rm -rf "$w"' EXIT
[ $# -gt 0 ] || set -- 1000 100000
/usr/bin/python3 test/bench/scale.py build/farrier-controller "$tools" "$w" "$@" || { tail -5 "$w/controller.log" >&2; exit 1; }
