#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build once for the fleet, by the chart's values alone: a registry with TLS and a password beside the control plane, n1 the
# only node whose builds the others may take. A new version is compiled once; a registry that dies while a wave needs it, or
# in the wave's middle, stops no wave. Needs the nodes that wave.sh leaves; the guest, where there is one, takes part.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
. "$e2e/disturbed-steps.sh"
. "$e2e/../registry/lib.sh"
steps_init
work=$RUN/registry PORT=5000 supervisor='' agents=$(has_guest && echo 4 || echo 3)
can_have_nodes || { echo "skip registry: nodes in namespaces need cgroup v1 on this machine"; exit 0; }
REGISTRY=$("$e2e/../registry/build.sh") || exit 3
REGISTRY_NET=(nsenter -t "$(cat "$RUN/infra.pid")" -n)
serving() { pgrep -f "^$REGISTRY serve $work/config.yml"; }
answers() { ask -f -o /dev/null "https://$HOST/v2/" 2>/dev/null; }
finish() {
	[ -z "$supervisor" ] || { kill "$supervisor" && wait "$supervisor"; } 2>/dev/null
	! serving >/dev/null || kill "$(serving)"
	rm -rf "$work" "$RUN/logs/registry.stop"
}
trap finish EXIT
trap 'exit 130' INT TERM
serve() {
	mkdir -p "$work" && registry_make $API_IP $PORT || fail "its certificate" || return
	export OTEL_TRACES_EXPORTER=none
	LOG=$RUN/logs supervise registry "${REGISTRY_NET[@]}" "$REGISTRY" serve "$work/config.yml" 2>/dev/null # that it was killed is no news
	supervisor=$!
	wait_for 60 "the registry" answers || fail "$(tail -1 "$RUN/logs/registry.log")" || return
	k -n farrier-system create secret generic fleet --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson="$work/auth.json" \
		--dry-run=client -o yaml | k apply -f - >/dev/null || fail "secret" || return
	k -n farrier-system create configmap fleet-ca --from-file="ca.crt=$work/tls.crt" --dry-run=client -o yaml | k apply -f - >/dev/null ||
		fail "configmap"
}
shared() {
	step_install_shim --set "registry.url=$REF,registry.secret=fleet,registry.caConfigMap=fleet-ca,trust.builders={n1}" || return
	wait_for 240 "agents that know it" component_runs driver-builder "$agents" --registry with || fail "not all agents have --registry" || return
	wait_for 240 "a controller that knows the builders" controller_runs --builders with || fail "no controller leads with --builders"
}
# What n1, n2 and n3 have in their stores of a version: compiled, taken, or nothing.
origins() {
	local n
	for n in $NODES; do
		in_node "$n" sh -c 'cat /var/lib/farrier/store/*/*/manifest.json' | $PY -c '
import json, sys
text, found = sys.stdin.read().strip(), "nothing"
while text:
    m, end = json.JSONDecoder().raw_decode(text)
    text = text[end:].lstrip()
    if m["driver"] == "edu" and m["driverVersion"] == sys.argv[1]: found = "compiled" if m.get("compiled") else "taken"
print(found)' "$1"
	done | xargs
}
# A folder of the host without a digest is that host's business alone: the files are in the object.
roll_source() {
	$PY - "$roll_to" "$SRC/test/drivers/edu" <<-'P'
		import json, os, sys
		files = {f: open(os.path.join(sys.argv[2], f)).read() for f in ("Kbuild", "edu.c", "edu.h")}
		files["edu.c"] = files["edu.c"].replace('MODULE_VERSION("1.0")', f'MODULE_VERSION("{sys.argv[1]}")')
		print(json.dumps({"type": "Inline", "host": None, "inline": {"files": files}}))
	P
}
tags() { ask -f "https://$HOST/v2/farrier/edu/tags/list" 2>/dev/null | $PY -c 'import json, sys
print(len(json.load(sys.stdin)["tags"]))' 2>/dev/null || echo 0; }
compiled_once() {
	step_roll 1.2 || return
	[ "$(origins 1.2)" = "compiled taken taken" ] || fail "$(origins 1.2)" || return
	same_on_all || fail "not the same modules" || return
	wait_for 300 "all nodes free, with their devices" all_free || fail "nodes are not free" || return
	one_at_a_time
}
same_on_all() {
	local n
	for n in $NODES; do in_node "$n" sha256sum /mnt/lib/modules/$OLD/updates/farrier/edu.ko || return; done | cut -d' ' -f1 | sort -u |
		{ read -r _ && ! read -r _; }
}
published() { [ "$(tags)" -gt "$had" ]; }
killed() {
	: >"$RUN/logs/registry.stop"
	kill -KILL "$(serving)"
}
kill_published() { killed && echo "the registry was killed once the builder had published"; }
kill_middle() {
	killed || return
	sleep 15
	rm -f "$RUN/logs/registry.stop"
	echo "the registry was killed and away for 15 s"
}
away_when_needed() { # who has not taken it by then compiles it
	had=$(tags)
	disturbed kill_published 1.3 published || return
	answers && { fail "the registry is there"; return; }
	echo "   1.3 on n1, n2, n3: $(origins 1.3)"
	[[ "$(origins 1.3)" = compiled\ *compiled* ]] && same_on_all || fail "1.3: $(origins 1.3)" || return
	rm -f "$RUN/logs/registry.stop"
	wait_for 60 "the registry" answers || fail "the registry does not come back"
}
away_in_the_middle() {
	disturbed kill_middle 1.4 || return
	wait_for 60 "the registry" answers || fail "the registry does not come back" || return
	[[ "$(origins 1.4)" = compiled\ * ]] && same_on_all || fail "1.4: $(origins 1.4)"
}
alone_again() {
	step_install_shim || return
	wait_for 240 "agents without it" component_runs driver-builder "$agents" --registry without || fail "agents have --registry still" || return
	wait_for 120 "devices on all nodes" on_all 2 allocatable || fail "allocatable"
}
check "registry: it serves the control plane's network" serve || exit 1
check "registry: Farrier told of it by the chart's values" shared || exit 1
check "registry: a new version is compiled once, the others take it" compiled_once || exit 1
check "registry: killed when it is needed, the wave ends all the same" away_when_needed
check "registry: killed in the middle of a wave" away_in_the_middle
check "registry: without it again" alone_again
exit $bad
