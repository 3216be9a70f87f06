# SPDX-License-Identifier: Apache-2.0
# Sourced by test/demo.sh and wave.sh, after steps.sh: three namespaced nodes with a faked kernel join, and a change of the
# driver's version rolls over all nodes. As in steps.sh each step returns 0 only when what it is about was seen.
# shellcheck disable=SC2154 # steps.sh sets e2e
NODES="n1 n2 n3"
# Nodes in namespaces share the machine's control groups, and know only how to do that with version 1.
can_have_nodes() { [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; }
has_guest() { alive "$S/qemu.pid"; }
step_nodes() {
	make -s -C "$SRC/test/shim" >"$RUN/logs/shim.log" 2>&1 || fail "the shim: see $RUN/logs/shim.log" || return
	make -s -C "$SRC" -j"$(nproc)" all >"$RUN/logs/make.log" 2>&1 || fail "make" || return
	"$SRC/hack/image.sh" --slim-only --shim >"$RUN/logs/image.log" 2>&1 || fail "images: $(tail -1 "$RUN/logs/image.log")" || return
	local golden
	golden=$("$e2e/../node/mkgolden.sh") || fail "tree" || return
	SHIM_TREE=$(cat "$golden/layers") NODE_HOOK=$e2e/shim-node.sh KUBELET_EXTRA="registerWithTaints: []" \
		IMAGES="$SRC/build/images/farrier.tar $SRC/build/images/farrier-shim.tar" \
		"$e2e/../cluster/up.sh" 3 >"$RUN/logs/up3.log" 2>&1 || fail "nodes: $(tail -2 "$RUN/logs/up3.log")"
}
# The chart again for these nodes: the same workloads with the image that has the faked kernel in it.
step_install_shim() { # step_install_shim [ARG...]: more values for both
	local args=(--namespace farrier-system --set crds.enabled=false,rbac.create=true,controller.replicas=1 "$@")
	"$e2e/../cluster/helm" upgrade --install farrier "$SRC/manifests/chart" --namespace farrier-system --create-namespace \
		--set devicePlugin.mode=HostService --set controller.replicas=1 \
		--set-string 'driverBuilder.nodeSelector.farrier\.test/vm=true' "$@" >"$RUN/logs/helm.log" 2>&1 ||
		fail "helm: $(tail -2 "$RUN/logs/helm.log")" || return
	cat >"$RUN/shim-values.yaml" <<-V
		image: { repository: farrier.dev/farrier-shim }
		devicePlugin: &node
		  mode: DaemonSet
		  nodeSelector: { kubernetes.io/os: linux, farrier.test/node: "yes" }
		  extraEnv: [ { name: FARRIER_SHIM_DIR, value: /var/lib/farrier-shim }, { name: FARRIER_SHIM_DEV, value: /dev } ]
		  extraVolumes: [ { name: shim, hostPath: { path: /var/lib/farrier-shim } } ]
		  extraVolumeMounts: [ { name: shim, mountPath: /var/lib/farrier-shim } ]
		driverBuilder:
		  nodeSelector: { kubernetes.io/os: linux, farrier.test/node: "yes" }
		  extraEnv: [ { name: FARRIER_SHIM_DIR, value: /var/lib/farrier-shim }, { name: FARRIER_SHIM_DEV, value: /dev } ]
		  extraVolumes: [ { name: shim, hostPath: { path: /var/lib/farrier-shim } } ]
		  extraVolumeMounts: [ { name: shim, mountPath: /var/lib/farrier-shim } ]
	V
	sed -i 's/ &node//' "$RUN/shim-values.yaml"
	# These nodes' own tree lies at /mnt: it is their host's root.
	"$e2e/../cluster/helm" template farrier "$SRC/manifests/chart" "${args[@]}" -f "$RUN/shim-values.yaml" \
		-s templates/serviceaccounts.yaml -s templates/driver-builder.yaml -s templates/device-plugin.yaml |
		sed -e 's#\(name: farrier-\(driver-builder\|device-plugin\)\)$#\1#' \
			-e 's#hostPath: { path: /, #hostPath: { path: /mnt, #; s#hostPath: { path: /lib/modules#hostPath: { path: /mnt/lib/modules#' |
		$PY -c '
import sys
# Other names for the workloads, so that they stand beside those of the release; the service accounts are shared.
for d in sys.stdin.read().split("\n---\n"):
    if "kind: ServiceAccount" in d and "name: farrier-device-plugin" in d: print("---\n" + d)
    if "kind: DaemonSet" not in d: continue
    out, top = [], True
    for l in d.splitlines():
        if top and l.startswith("  name: "): l, top = l + "-shim", False
        out.append(l.replace("app.kubernetes.io/instance: farrier", "app.kubernetes.io/instance: shim"))
    print("---\n" + "\n".join(out))' >"$RUN/shim.yaml"
	k apply -f "$RUN/shim.yaml" >"$RUN/logs/shim-apply.log" 2>&1 || fail "$(tail -2 "$RUN/logs/shim-apply.log")" || return
	for n in $NODES; do k label --overwrite node "$n" farrier.test/node=yes >/dev/null; done
	wait_for 240 "pods on the nodes" pods_ready farrier-system "$(has_guest && echo 8 || echo 7)" || fail "pods are not ready"
}
# component_runs COMPONENT COUNT ARGUMENT WORD: its pods are ready, all with the argument, without it when WORD is "without"
component_runs() {
	api "api/v1/namespaces/farrier-system/pods?labelSelector=app.kubernetes.io%2Fcomponent%3D$1" | $PY -c 'import json, sys
def good(p):
    is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
    has = any(sys.argv[1] in c.get("args", []) for c in p["spec"]["containers"])
    return is_ready and has == (sys.argv[2] == "with") and "deletionTimestamp" not in p["metadata"]
pods = json.load(sys.stdin)["items"]
sys.exit(not (len(pods) >= int(sys.argv[3]) and all(good(p) for p in pods)))' "$3" "$4" "$2"
}
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
leads() { [ -n "$(leader_pod)" ]; }
controller_runs() { component_runs controller 1 "$@" && leads; } # controller_runs ARGUMENT WORD: and one of them leads
on_all() { # on_all VALUE FUNCTION [ARG...]: FUNCTION of each node gives VALUE
	local v=$1 n
	shift
	for n in $NODES; do [ "$("$@" "$n")" = "$v" ] || return 1; done
}
loaded_version() { driver_field edu loadedVersion "$1"; }
state_of() { driver_field edu state "$1"; }
step_first_version() {
	k apply -f "$e2e/objects/edu.yaml" >/dev/null
	wait_for 400 "driver on all nodes" on_all Loaded state_of ||
		fail "states: $(for n in $NODES; do echo "$n=$(state_of "$n") $(driver_field edu reason "$n")"; done)" || return
	wait_for 120 "devices on all nodes" on_all 2 allocatable || fail "allocatable: $(for n in $NODES; do allocatable "$n"; done)"
}
step_hold_device() {
	k apply -f "$e2e/objects/holder.yaml" >/dev/null
	wait_for 60 "pod holder" is Running pod_phase holder || fail "pod holder: $(pod_phase holder)"
}
roll_to=1.1
# One line a sample: the time; nodes that are cordoned ("?": nobody answered); nodes that run $roll_to; the pod's phase.
sample() {
	local cordoned new
	cordoned=$(api api/v1/nodes | $PY -c 'import json, sys
print(",".join(n["metadata"]["name"] for n in json.load(sys.stdin)["items"] if n["spec"].get("unschedulable")))' 2>/dev/null) || cordoned="?"
	new=$(api $ACC/acceleratornodes | $PY -c 'import json, sys
print(",".join(n["metadata"]["name"] for n in json.load(sys.stdin)["items"]
    for d in n.get("status", {}).get("drivers", []) if d["name"] == "edu" and d.get("loadedVersion") == sys.argv[1]))' "$roll_to" 2>/dev/null)
	echo "$(now) ${cordoned:--} ${new:--} $(pod_phase holder | grep . || echo -)"
}
in_node() { "$e2e/../cluster/exec.sh" "$@"; }
has_source() { # has_source VERSION: of edu, on all nodes, where a distribution's package would put it
	local n make="[ -e DIR-$1 ] || { cp -r DIR-1.0 DIR-$1 && sed -i 's/MODULE_VERSION(\"1.0\")/MODULE_VERSION(\"$1\")/' DIR-$1/edu.c; }"
	for n in $NODES; do in_node "$n" sh -c "${make//DIR//mnt/usr/src/edu}" || return; done
	! has_guest || guest -t 60 "${make//DIR//usr/src/edu}"
}
roll_source() { echo "{\"type\":\"Host\",\"inline\":null,\"host\":{\"path\":\"/usr/src/edu-$roll_to\"}}"; } # what is patched
step_roll() { # step_roll [VERSION]
	roll_to=${1:-1.1}
	local want="n1,n2,n3" end=$((SECONDS + 900 * ${FARRIER_SLOW:-1}))
	! has_guest || want+=",$NODE"
	has_source "$roll_to" || fail "no source of $roll_to" || return
	: >"$RUN/wave.samples"
	k patch acceleratordriver edu --type=merge -p "{\"spec\":{\"version\":\"$roll_to\",\"source\":$(roll_source),
\"upgradePolicy\":{\"maxParallelUpgrades\":1,\"maxUnavailable\":1,\"drain\":{\"enable\":true,\"force\":true},\"podDeletion\":{\"force\":true}}}}" \
		>/dev/null || fail "kubectl patch" || return
	while :; do
		sample >>"$RUN/wave.samples"
		[[ "$(tail -1 "$RUN/wave.samples")" != *" - $want "* ]] || return 0
		[ $SECONDS -lt $end ] || { fail "still: $(tail -1 "$RUN/wave.samples"), upgrade: $(for n in ${want//,/ }; do
			accnode "$n" | jget spec upgrade | tr -d '\n'
		done)"; return 1; }
		sleep 0.3
	done
}
# What the samples saw, a line for each change: seconds, nodes cordoned, nodes on 1.1, pod holder.
wave_story() {
	awk 'NR == 1 { first = $1 } { now = $2 " " $3 " " $4 } now != was {
			printf "%6.1f s  cordoned: %-10s on '"$roll_to"': %-14s pod holder: %s\n", $1 - first, $2, $3, $4
		} { was = now }' "$RUN/wave.samples"
}
one_at_a_time() {
	awk '$2 != "-" && $2 != "?" { n = split($2, a, ","); if (n > m) m = n; seen[$2] = 1 }
		END { for (s in seen) c++; print "   most nodes cordoned at once: " m ", nodes seen cordoned: " c; exit !(m == 1) }' \
		"$RUN/wave.samples" || fail "more than one node, or none, was seen cordoned"
}
