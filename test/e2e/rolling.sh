#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin as a DaemonSet instead of a service of the host: the change of mode, a rolling update of its pods and the
# change back, while two pods hold a card each. No pod notices, and never do two plugins serve the resource. Needs the
# cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/holders.sh"
mode() { # the chart again, as whoever runs the cluster would
	"$e2e/../cluster/helm" upgrade farrier "$SRC/manifests/chart" --namespace farrier-system --reuse-values \
		--set "devicePlugin.mode=$1" >"$RUN/logs/helm.log" 2>&1 || fail "helm: $(tail -2 "$RUN/logs/helm.log")"
}
mode_now() { "$e2e/../cluster/helm" get values farrier --namespace farrier-system -o json | jget devicePlugin mode; }
plugin_pod() { # uid of the one plugin pod that is ready, if there is just one
	api "api/v1/namespaces/farrier-system/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Ddevice-plugin" | $PY -c 'import json, sys
p = json.load(sys.stdin)["items"]
if len(p) == 1 and any(c["type"] == "Ready" and c["status"] == "True" for c in p[0]["status"].get("conditions", [])): print(p[0]["metadata"]["uid"])'
}
has_pod() { [ -n "$(plugin_pod)" ] && [ "$(plugin_pod)" != "${1:-}" ]; }
has_no_pod() { [ "$(api "api/v1/namespaces/farrier-system/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Ddevice-plugin" | grep -c '"phase"')" = 0 ]; }
# Processes of the plugin in the guest, in a container or not.
processes() { guest -t 60 'pgrep -f -c "[f]arrier-device-plugin --classes"' | tr -d '\r\n'; }
service_gone() { [ "$(service)" != active ]; }
service() { guest -t 60 'systemctl is-active farrier-device-plugin' | tr -d '\r\n'; }
serves() { # what the kubelet could give out, and the Node object says so
	wait_for 240 "devices with the kubelet" with_kubelet $CARDS_WANTED || fail "not in GetAllocatableResources" || return
	wait_for 120 "the Node object" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)" || return
	[ "$(processes)" = 1 ] || fail "$(processes) plugins run"
}
to_daemonset() {
	mode DaemonSet || return
	wait_for 400 "the plugin's pod" has_pod || fail "no plugin pod is ready; the service is $(service)" || return
	wait_for 120 "the service to go" service_gone || fail "the service still runs beside it" || return
	serves && untouched
}
rolled() {
	local old s
	old=$(plugin_pod) s=$(now)
	k -n farrier-system rollout restart daemonset farrier-device-plugin >/dev/null || fail "kubectl rollout restart" || return
	wait_for 400 "another plugin pod" has_pod "$old" || fail "the same pod" || return
	serves || return
	echo "   allocatable again $(since "$s") s after the update began"
	untouched
}
to_service() {
	mode HostService || return
	wait_for 240 "the plugin's pod to go" has_no_pod || fail "it is still there" || return
	wait_for 400 "the service" is active service || fail "the service is $(service)" || return
	serves && untouched
}
cleanup() {
	release
	[ "$(mode_now)" = HostService ] || to_service
}
trap cleanup EXIT
check "rolling: two pods hold a card each" two_pods || exit 1
check "rolling: from the host's service to a DaemonSet, no pod notices" to_daemonset || exit 1
check "rolling: a rolling update of the DaemonSet, no pod notices" rolled
check "rolling: and back to the host's service" to_service
exit $bad
