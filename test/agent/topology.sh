#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the agent tells of NUMA nodes, with the kubelet's own pod resources server (its module, unchanged) over things made
# up: test/go/agent/podresstub, which first compares our proto file with the module's. The nodes are this machine's.
# usage: topology.sh     env: FARRIER_CACHE
set -euo pipefail
cd "$(dirname "$0")/../.."
. hack/go.sh
go=$(go_find) || { echo "no Go $GO_NEEDED or newer: run hack/setup.sh" >&2; exit 3; }
[ -x build/farrier-driver-builder ] || make -s build/farrier-driver-builder
stub=$FARRIER_CACHE/go-bin/podresstub-$(cat test/go/go.mod test/go/go.sum test/go/agent/podresstub/*.go | sha256sum | cut -c1-16)
if [ ! -x "$stub" ]; then
	mkdir -p "$FARRIER_CACHE/go-bin"
	(cd test/go && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false" \
		"$go" build -p 2 -ldflags "-s -w" -o "$stub.$$" ./agent/podresstub)
	mv "$stub.$$" "$stub"
fi

work=$(mktemp -d /tmp/farrier-topology.XXXXXX) agent='' keeper=''
cleanup() {
	[ -z "$agent" ] || kill "$agent" 2>/dev/null || true
	[ -z "$keeper" ] || exec {keeper}>&- || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
fail() {
	echo "not ok agent: topology from the kubelet's own server: $*"
	tail -n 5 "$work"/*.log | sed 's/^/   | /'
	exit 1
}
until_there() { # until_there WHAT COMMAND...
	local what=$1 end=$((SECONDS + 120))
	shift
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || fail "$what"
		sleep 0.2
	done
}

mkdir -p "$work"/{host,run,state}
mkfifo "$work/stdin"
"$stub" driver-builder/podresources.proto "$work/host/kubelet.sock" <"$work/stdin" >"$work/stub.log" 2>&1 &
exec {keeper}>"$work/stdin" # the stub ends when this is closed
until_there "no server" grep -q '^ready' "$work/stub.log"
echo '{"version":1,"devices":[{"id":"a"}]}' >"$work/run/devices.json"
cat >"$work/config" <<'END'
current-context: a
contexts: [ { name: a, context: { cluster: a } } ]
clusters: [ { name: a, cluster: { server: "http://127.0.0.1:1" } } ]
END
build/farrier-driver-builder run --node-name n --kubeconfig "$work/config" --root "$work/host" --run "$work/run" \
	--state "$work/state" --topology --pod-resources /kubelet.sock >"$work/agent.log" 2>&1 &
agent=$!
until_there "no topology in the status" grep -q '"zones"' "$work/run/status.json"
python3 - "$work/run/status.json" <<'END' || fail "other numbers"
import json, sys
t = json.load(open(sys.argv[1]))["topology"]
z = {x["name"]: x for x in t["zones"]}
have = {r["name"]: (r["allocatable"], r["available"]) for r in z["node-0"]["resources"]}
want = {"farrier.dev/edu": (2, 1), "cpu": (1, 0), "memory": (3 << 20, 2 << 20)}
print(have, t["podsFingerprintMethod"], t["podsFingerprint"])
assert {k: v for k, v in have.items() if k in want} == want
assert not any(r["name"] == "farrier.dev/far" for x in z.values() for r in x["resources"])
assert t["podsFingerprintMethod"] == "with-exclusive-resources"
assert t["podsFingerprint"] == "pfp0v0016a5a78cfbc52d821"  # default/nginx alone holds something
END
echo "ok agent: topology from the kubelet's own server"
