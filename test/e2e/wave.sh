#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three namespaced nodes, with a faked kernel, join: a change of the driver's version rolls over all nodes one at a time,
# and the pod that holds a device goes before the module does. Beside the guest where there is one, else alone.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
mkdir -p "$RUN/logs"
steps_init
NODES="n1 n2 n3"
has_guest() { alive "$S/qemu.pid"; }
start_nodes() {
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
install_shim() {
	local args=(--namespace farrier-system --set crds.enabled=false,rbac.create=true,controller.replicas=1)
	"$e2e/../cluster/helm" upgrade --install farrier "$SRC/manifests/chart" --namespace farrier-system --create-namespace \
		--set devicePlugin.mode=HostService --set controller.replicas=1 \
		--set-string 'driverBuilder.nodeSelector.farrier\.test/vm=true' >"$RUN/logs/helm.log" 2>&1 ||
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
on_all() { # on_all VALUE FUNCTION [ARG...]: FUNCTION of each node gives VALUE
	local v=$1 n
	shift
	for n in $NODES; do [ "$("$@" "$n")" = "$v" ] || return 1; done
}
loaded_version() { driver_field edu loadedVersion "$1"; }
state_of() { driver_field edu state "$1"; }
first_version() {
	k apply -f "$e2e/objects/edu.yaml" >/dev/null
	wait_for 400 "driver on all nodes" on_all Loaded state_of ||
		fail "states: $(for n in $NODES; do echo "$n=$(state_of "$n") $(driver_field edu reason "$n")"; done)" || return
	wait_for 120 "devices on all nodes" on_all 2 allocatable || fail "allocatable: $(for n in $NODES; do allocatable "$n"; done)"
}
hold_device() {
	k apply -f "$e2e/objects/holder.yaml" >/dev/null
	wait_for 60 "pod holder" is Running pod_phase holder || fail "pod holder: $(pod_phase holder)"
}
# One line a sample: nodes that are cordoned; nodes that run 1.1; whether the pod is there.
sample() {
	local cordoned new
	cordoned=$(api api/v1/nodes | $PY -c 'import json, sys
print(",".join(n["metadata"]["name"] for n in json.load(sys.stdin)["items"] if n["spec"].get("unschedulable")))')
	new=$(api $ACC/acceleratornodes | $PY -c 'import json, sys
print(",".join(n["metadata"]["name"] for n in json.load(sys.stdin)["items"]
    for d in n.get("status", {}).get("drivers", []) if d["name"] == "edu" and d.get("loadedVersion") == "1.1"))')
	echo "${cordoned:--} ${new:--} $(pod_phase holder | grep . || echo -)"
}
roll() {
	local want="n1,n2,n3" end=$((SECONDS + 900 * ${FARRIER_SLOW:-1}))
	if has_guest; then
		want+=",$NODE"
		guest -t 60 'cp -r /usr/src/edu-1.0 /usr/src/edu-1.1; sed -i "s/MODULE_VERSION(\"1.0\")/MODULE_VERSION(\"1.1\")/" /usr/src/edu-1.1/edu.c'
	fi
	: >"$RUN/wave.samples"
	k patch acceleratordriver edu --type=merge -p '{"spec":{"version":"1.1","source":{"host":{"path":"/usr/src/edu-1.1"}},
"upgradePolicy":{"maxParallelUpgrades":1,"maxUnavailable":1,"drain":{"enable":true,"force":true},"podDeletion":{"force":true}}}}' \
		>/dev/null || fail "kubectl patch" || return
	while :; do
		sample >>"$RUN/wave.samples"
		[[ "$(tail -1 "$RUN/wave.samples")" != "- $want "* ]] || return 0
		[ $SECONDS -lt $end ] || { fail "still: $(tail -1 "$RUN/wave.samples"), upgrade: $(for n in ${want//,/ }; do
			accnode "$n" | jget spec upgrade | tr -d '\n'
		done)"; return 1; }
		sleep 0.3
	done
}
one_at_a_time() {
	awk '$1 != "-" { n = split($1, a, ","); if (n > m) m = n; seen[$1] = 1 }
		END { for (s in seen) c++; print "   most nodes cordoned at once: " m ", nodes seen cordoned: " c; exit !(m == 1) }' \
		"$RUN/wave.samples" || fail "more than one node, or none, was seen cordoned"
}
drained_first() { # the pod is never seen while n2 already runs the new version, and is gone in the end
	awk '$2 ~ /n2/ && $3 == "Running" { bad = 1 } $1 ~ /n2/ { c = 1 } END { exit !(c && !bad) }' "$RUN/wave.samples" ||
		fail "the pod was there while n2 ran the new version, or n2 was not seen cordoned" || return
	[ "$(tail -1 "$RUN/wave.samples" | cut -d' ' -f3)" != Running ] || fail "the pod was not drained"
}
devices_again() { wait_for 120 "devices on all nodes" on_all 2 allocatable || fail "allocatable"; }
has_guest || alive "$RUN/infra.pid" || check "wave: control plane" step_cluster || exit 1
check "wave: three namespaced nodes" start_nodes || exit 1
check "wave: Farrier on them, on a faked kernel" install_shim || exit 1
check "wave: version 1.0 on all of them" first_version || exit 1
check "wave: a pod holds a device" hold_device
check "wave: version 1.1 on all nodes" roll || exit 1
check "wave: one node at a time" one_at_a_time
check "wave: the pod went before the module" drained_first
check "wave: devices allocatable again" devices_again
exit $bad
