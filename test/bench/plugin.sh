#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The device plugin beside the upstream sample plugin (Go), both asked by the kubelet's own plugin server in
# one run. Prints "NAME OURS PEER RATIO UNIT", one line a figure; ratio = ours / peer, "-" without a peer.
# usage: plugin.sh    root; env: CALLS (default 5000), FARRIER_CACHE
set -euo pipefail
cd "$(dirname "$0")/../.."
make -s build/farrier-device-plugin >&2
bin=$(test/go/build.sh)
w=$(mktemp -d /tmp/farrier-bench.XXXXXX)
trap 'rm -rf "$w"' EXIT
# The sample plugin knows one place for kubelet.sock, and our devices are a /sys of files: a namespace of mounts.
unshare --mount --propagation private /usr/bin/python3 test/bench/plugin.py \
	"$PWD/build/farrier-device-plugin" "$bin" "$w" "${CALLS:-5000}"
