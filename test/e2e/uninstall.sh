#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# helm test, then helm uninstall: nothing hangs, the plugin's service is gone from its host, and what is promised to stay
# stays: loaded modules, custom resources and their definitions. Needs what road.sh leaves; the last scenario.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
helm() { "$e2e/../cluster/helm" "$@"; }
tested() { helm test farrier --namespace farrier-system --timeout 5m >"$RUN/logs/helm-test.log" 2>&1 || fail "helm test: $(tail -3 "$RUN/logs/helm-test.log")"; }
gone() {
	helm uninstall farrier --namespace farrier-system --wait --timeout 8m >"$RUN/logs/helm-uninstall.log" 2>&1 ||
		fail "helm uninstall: $(tail -3 "$RUN/logs/helm-uninstall.log")" || return
	k -n farrier-system get deployments,daemonsets,jobs -l app.kubernetes.io/instance=farrier -o name >"$RUN/logs/left" 2>&1
	[ ! -s "$RUN/logs/left" ] || fail "left: $(tr '\n' ' ' <"$RUN/logs/left")"
}
kept() { # our finalizers are gone, the objects and the module are not
	[ "$(api $ACC/acceleratordrivers | $PY -c 'import json, sys
print([len(d["metadata"].get("finalizers", [])) for d in json.load(sys.stdin)["items"] if d["metadata"]["name"] == "edu"])')" = "[0]" ] ||
		fail "edu is gone or has finalizers" || return
	guest -t 30 'test -d /sys/module/edu' || fail "the module was unloaded"
}
service_gone() {
	! guest -t 30 'systemctl is-active -q farrier-device-plugin || test -e /etc/systemd/system/farrier-device-plugin.service' ||
		fail "the plugin's service is still on the host"
}
deletable() { k delete accdrv edu --timeout=60s >"$RUN/logs/delete" 2>&1 || fail "$(tail -1 "$RUN/logs/delete")"; }
check "uninstall: helm test passes" tested
check "uninstall: helm uninstall ends" gone || exit 1
check "uninstall: driver and module stay, without our finalizers" kept
check "uninstall: the plugin's service has left its host" service_gone
check "uninstall: the driver can be deleted with nobody there" deletable
exit $bad
