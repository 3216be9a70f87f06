#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What else the controller does on a real API server: with --stream-lists its lists come as streams (WatchList), and it comes to
# what it came to without; with --startup-taint a node that joins with the taint loses it when its devices are advertised,
# and not before. Needs the nodes that wave.sh leaves; switches both off again.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
. "$e2e/wave-steps.sh"
steps_init
TAINT=farrier.test/starting LATE=n3 EARLY=n2
watcher=
finish() {
	[ -z "$watcher" ] || kill "$watcher" 2>/dev/null
	for n in $LATE $EARLY; do k taint node "$n" "$TAINT-"; done >/dev/null 2>&1
	k label --overwrite node $LATE farrier.test/node=yes >/dev/null 2>&1
}
# --- the controller ----------------------------------------------------------------------------------
with_values() { # with_values ARG...: of the controller's release
	"$e2e/../cluster/helm" upgrade farrier "$SRC/manifests/chart" --namespace farrier-system --reuse-values "$@" \
		>"$RUN/logs/helm.log" 2>&1 || fail "helm: $(tail -2 "$RUN/logs/helm.log")"
}
# What it has written, but for times: specs of AcceleratorNodes, labels and conditions of Nodes, statuses of drivers and classes.
told() {
	{
		api api/v1/nodes && for kind in acceleratornodes acceleratordrivers acceleratorclasses; do api $ACC/$kind || return; done
	} | $PY -c '
import json, sys
def timeless(v):
    if isinstance(v, dict): return {k: timeless(x) for k, x in v.items() if not k.endswith("Time")}
    return [timeless(x) for x in v] if isinstance(v, list) else v
lists, text = [], sys.stdin.read()
while text.strip():
    l, end = json.JSONDecoder().raw_decode(text := text.lstrip())
    lists, text = lists + [l], text[end:]
nodes, accs, *objects = lists
for n in nodes["items"]:
    m = n["metadata"]
    print("Node", m["name"], n["spec"].get("unschedulable", False),
          {k: v for k, v in sorted(m["labels"].items()) if k.startswith("farrier.dev/")},
          [timeless(c) for c in n["status"]["conditions"] if c["type"] == "AcceleratorDriverReady"])
for a in accs["items"]:
    print("AcceleratorNode", a["metadata"]["name"], a["metadata"]["generation"], json.dumps(a["spec"], sort_keys=True))
for l in objects:
    for o in l["items"]: print(l["kind"], o["metadata"]["name"], json.dumps(timeless(o.get("status", {})), sort_keys=True))'
}
streams() { # streams RESOURCE: lists of it that the API server has sent as streams
	api metrics | awk -v r="resource=\"$1\"" '/^apiserver_watch_list_duration_seconds_count/ && index($0, r) && /scope="cluster"/ { s += $NF } END { print s + 0 }'
}
nodes_free() {
	api api/v1/nodes | $PY -c 'import json, sys
sys.exit(any(n["spec"].get("unschedulable") for n in json.load(sys.stdin)["items"]))' &&
		on_all upgrade-done upgrade_of && on_all 2 allocatable && on_all "$(wanted)" label_of
}
wanted() { api $ACC/acceleratordrivers/edu | jget spec version; }
upgrade_of() { accnode "$1" | jget spec upgrade state; }
label_of() { api "api/v1/nodes/$1" | jget metadata labels farrier.dev/driver.edu; }
switched_on() {
	local nodes accs
	wait_for 300 "nodes that are free" nodes_free || fail "$(for n in $NODES; do echo "$n=$(upgrade_of "$n")/$(label_of "$n")"; done)" || return
	told >"$RUN/logs/details.before" || fail "the objects cannot be read" || return
	nodes=$(streams nodes) accs=$(streams acceleratornodes)
	with_values --set startupTaint=$TAINT --set-json 'controller.extraArgs=["--stream-lists"]' || return
	wait_for 300 "the controller" controller_runs --stream-lists with || fail "no controller leads with --stream-lists" || return
	wait_for 60 "its other option" controller_runs --startup-taint with || fail "startupTaint is not among the controller's arguments" || return
	streamed() { [ "$(streams nodes)" -gt "$nodes" ] && [ "$(streams acceleratornodes)" -gt "$accs" ]; }
	wait_for 120 "lists sent as streams" streamed || fail "streams of Nodes: $nodes, then $(streams nodes); of AcceleratorNodes: $accs, then $(streams acceleratornodes)"
}
same() { # what was taken away is written again, which needs both lists; nothing else has changed
	k label node n1 farrier.dev/driver.edu- >/dev/null || fail "kubectl label" || return
	wait_for 120 "the label" is "$(wanted)" label_of n1 || fail "label: '$(label_of n1)'" || return
	as_before() { told >"$RUN/logs/details.after"; cmp -s "$RUN/logs/details.before" "$RUN/logs/details.after"; }
	wait_for 60 "what there was before" as_before || fail "$(diff "$RUN/logs/details.before" "$RUN/logs/details.after" | head -4 | cut -c1-300)"
}
# --- the taint ---------------------------------------------------------------------------------------
taint_of() { api "api/v1/nodes/$1" | $PY -c 'import json, sys
print(any(t["key"] == sys.argv[1] for t in json.load(sys.stdin)["spec"].get("taints", [])))' $TAINT; }
without_devices() {
	local n
	n=$(allocatable $LATE)
	[ "${n:-0}" = 0 ]
}
watch_late() { # watch_late VERSION: what becomes of the node from there on, to its end or ours
	exec nsenter -t "$(cat "$RUN/infra.pid")" -n curl -sSN --cacert "$RUN/pki/ca.crt" --cert "$RUN/pki/admin.crt" \
		--key "$RUN/pki/admin.key" "$API/api/v1/nodes?watch=true&fieldSelector=metadata.name%3D$LATE&resourceVersion=$1&timeoutSeconds=3000"
}
not_before() { # nothing runs there that offers a device: like a node that joins
	local version
	k label node $LATE farrier.test/node- >/dev/null || fail "kubectl label" || return
	wait_for 300 "no devices on $LATE" without_devices || fail "allocatable: '$(allocatable $LATE)'" || return
	k taint node $LATE "$TAINT:NoSchedule" >/dev/null || fail "kubectl taint" || return
	version=$(api "api/v1/nodes/$LATE" | jget metadata resourceVersion)
	watch_late "$version" >"$RUN/logs/details.watch" 2>&1 &
	watcher=$!
	# The controller hears of this one later, and has everything to let it go.
	k taint node $EARLY "$TAINT:PreferNoSchedule" >/dev/null || fail "kubectl taint" || return
	wait_for 120 "$EARLY without the taint" is False taint_of $EARLY || fail "$EARLY has devices and keeps the taint" || return
	wait_for 60 "$LATE with the taint" is True taint_of $LATE || fail "$LATE has no devices and lost the taint"
}
then_soon() {
	k label --overwrite node $LATE farrier.test/node=yes >/dev/null || fail "kubectl label" || return
	wait_for 400 "$LATE without the taint" is False taint_of $LATE ||
		fail "$LATE: allocatable $(allocatable $LATE), edu $(driver_field edu state $LATE)" || return
	gone() { watched; [ $? != 2 ]; }
	wait_for 60 "the event" gone
	watched || fail "$(cat "$RUN/logs/details.watched")"
}
watched() { # of all versions of the node from the taint on: 0 when those without it had devices, 2 when none has lost it yet
	$PY - "$TAINT" $RESOURCE "$RUN/logs/details.watch" >"$RUN/logs/details.watched" 2>&1 <<-'P'
		import json, sys
		taint, resource, path = sys.argv[1:]
		for line in open(path):
		    if not line.endswith("\n"): break
		    n = json.loads(line)["object"]
		    devices = int(n["status"]["allocatable"].get(resource, 0))
		    if any(t["key"] == taint for t in n["spec"].get("taints", [])): continue
		    sys.exit(0 if devices > 0 else f"version {n['metadata']['resourceVersion']}: no taint and no devices")
		sys.exit(2)
	P
}
switched_off() {
	with_values --set startupTaint= --set-json 'controller.extraArgs=[]' || return
	wait_for 300 "the controller" controller_runs --stream-lists without || fail "no controller leads without" || return
	wait_for 120 "devices on all nodes" on_all 2 allocatable || fail "allocatable: $(for n in $NODES; do allocatable "$n"; done)"
}
trap 'exit 130' INT TERM
can_have_nodes || { echo "skip details: nodes in namespaces need cgroup v1 on this machine"; exit 0; }
trap finish EXIT
check "details: lists come as streams" switched_on || exit 1
check "details: what is written with streams is what was written without" same
check "details: a node without devices keeps the start-up taint" not_before
check "details: it loses it once its devices are advertised" then_soon
check "details: both switched off" switched_off
exit $bad
