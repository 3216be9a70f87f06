#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bad inputs: each gets a typed, named error and hurts nothing else. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/scenario.sh"
steps_init
kernel=$(guest -t 30 uname -r | tr -d '\r\n')
driver() { # driver NAME SOURCE: a manifest on stdout; more of the spec on stdin
	cat <<-Y
		apiVersion: farrier.dev/v1alpha1
		kind: AcceleratorDriver
		metadata: { name: $1 }
		spec:
		  version: "1.0"
		  nodeSelector: { matchLabels: { farrier.test/vm: "true" } }
		  source: { type: Host, host: { path: $2 } }
		  build: { toolchain: Host, prebuild: false }
		  modules: [ { name: $1 } ]
		  onUnbuildable: Warn
	Y
}
# What must stay true through all of it.
nothing_else_hurt() {
	[ "$(driver_field edu state)" = Loaded ] || fail "edu is '$(driver_field edu state)'" || return
	[ "$(allocatable)" = $CARDS_WANTED ] || fail "$RESOURCE is '$(allocatable)'"
}
remove() { # remove KIND NAME: and the node hears of it
	k delete "$1" "$2" --ignore-not-found --timeout=60s >/dev/null
	wait_for 60 "$2 gone from the node" is "" driver_field "$2" state || true
}
unknown_field() {
	local out
	out=$(sed 's/^  modules:/  moduls:/' "$e2e/objects/edu.yaml" | sed 's/name: edu }$/name: edu-typo }/' | k apply -f - 2>&1) &&
		fail "it was accepted" && return 1
	grep -q 'unknown field "spec.moduls"' <<<"$out" || fail "said: $out" || return
	nothing_else_hurt
}
does_not_compile() {
	guest -t 30 'mkdir -p /usr/src/noncompiling'
	for f in "$SRC"/test/drivers/noncompiling/*; do
		guest -t 30 "echo $(base64 -w0 "$f") | base64 -d >/usr/src/noncompiling/${f##*/}"
	done
	driver noncompiling /usr/src/noncompiling | k apply -f - >/dev/null
	wait_for 400 "the failure" is BuildFailed driver_field noncompiling reason ||
		fail "state '$(driver_field noncompiling state)' reason '$(driver_field noncompiling reason)'" || return
	echo "   $(driver_field noncompiling message | head -c 200 | tr '\n' ' ')"
	nothing_else_hurt
}
missing_headers() {
	local r=6.1.0-99-amd64
	guest -t 30 "mkdir -p /lib/modules/$r/kernel; : >/lib/modules/$r/modules.order; : >/boot/vmlinuz-$r"
	wait_for 300 "the report" is HeadersMissing kernel_driver_field $r edu reason ||
		fail "state '$(kernel_driver_field $r edu state)' reason '$(kernel_driver_field $r edu reason)'" || rc=1
	[ "${rc:-0}" = 1 ] || nothing_else_hurt || rc=1
	guest -t 30 "rm -rf /lib/modules/$r /boot/vmlinuz-$r"
	return "${rc:-0}"
}
truncated_ko() { # one of the store is cut short: a command names it, the agent does not load it and makes it anew
	local key ko out size
	key=$(driver_field edu artifact)
	ko=$(guest -t 30 "ls /var/lib/farrier/store/*/$key/modules/edu.ko" | tr -d '\r\n')
	[ -n "$ko" ] || fail "no edu.ko for $key in the store" || return
	size=$(guest -t 30 "stat -c %s $ko" | tr -d '\r\n')
	guest -t 30 "chattr -i $ko 2>/dev/null; truncate -s 1000 $ko"
	k -n farrier-system delete pod -l app.kubernetes.io/component=driver-builder --wait=true --timeout=120s >/dev/null
	wait_for 300 "Farrier's pods" pods_ready farrier-system 2 || fail "the agent did not come back" || return
	out=$(k -n farrier-system exec ds/farrier-driver-builder -- /usr/bin/farrier-driver-builder verify "$ko" --kernel "$kernel" \
		--root /host --state /var/lib/farrier --run /run/farrier 2>&1) && whole || wait_for 300 "the artifact made anew" whole ||
		fail "still cut short; verify says: $out" || return
	nothing_else_hurt
}
whole() { guest -t 30 "test \$(stat -c %s /var/lib/farrier/store/*/$(driver_field edu artifact)/modules/edu.ko) -gt 1000"; }
verify_truncated() { # the command's own words for a file that is no module
	local out
	guest -t 30 'f=$(ls /var/lib/farrier/store/*/*/modules/edu.ko | head -1); mkdir -p /var/lib/farrier/cut; head -c 1000 "$f" >/var/lib/farrier/cut/edu.ko'
	out=$(k -n farrier-system exec ds/farrier-driver-builder -- /usr/bin/farrier-driver-builder verify /var/lib/farrier/cut/edu.ko \
		--kernel "$kernel" --root /host --json 2>&1)
	guest -t 30 'rm -rf /var/lib/farrier/cut'
	grep -q ModuleInvalid <<<"$out" || fail "said: $out"
}
class_without_match() {
	k apply -f - >/dev/null <<-Y
		apiVersion: farrier.dev/v1alpha1
		kind: AcceleratorClass
		metadata: { name: nothing }
		spec:
		  match: [ { bus: PCI, vendor: "dead", device: "beef" } ]
		  resourceName: farrier.dev/nothing
	Y
	said() { api "$ACC/acceleratorclasses/nothing" | grep -q NoMatchingDevices; }
	wait_for 120 "the condition" said || fail "no condition says NoMatchingDevices" || return
	k delete acceleratorclass nothing --timeout=60s >/dev/null
	nothing_else_hurt
}
deleted_mid_build() {
	local before
	before=$(restarts) # a reboot of the node counts as one too
	guest -t 60 'cp -r /usr/src/edu-1.0 /usr/src/slow-1.0; cd /usr/src/slow-1.0; rm -f dkms.conf; mv edu.c slow.c
sed -i s/edu.o/slow.o/ Kbuild; sed -i "s/#include \"edu.h\"/#include \"edu.h\"\n\/* made slow by its size *\//" slow.c
i=0; while [ $i -lt 4000 ]; do echo "int slow_$i(int a); int slow_$i(int a) { return a * $i + a / 3 - $i; }"; i=$((i+1)); done >>slow.c'
	driver slow /usr/src/slow-1.0 | k apply -f - >/dev/null
	wait_for 200 "the build to begin" is Building driver_field slow state || fail "state '$(driver_field slow state)'" || return
	k delete acceleratordriver slow --timeout=60s >/dev/null
	wait_for 200 "its end on the node" is "" driver_field slow state || fail "still '$(driver_field slow state)'" || return
	pods_ready farrier-system 2 || fail "a pod of Farrier is not ready" || return
	is "$before" restarts || fail "the agent restarted" || return
	nothing_else_hurt
}
manifests_taken() { # what a value turns on, and the kustomize base: as the API server sees them
	local log=$RUN/logs/dry-run.log
	"$e2e/../cluster/helm" template farrier "$SRC/manifests/chart" --namespace farrier-system --set crds.enabled=false \
		--set devicePlugin.modeByLabel=true,networkPolicy.enabled=true,controller.replicas=2 |
		k apply --dry-run=server -f - >"$log" 2>&1 || fail "chart: $(grep -i error "$log" | head -3)" || return
	grep -q networkpolicy "$log" && grep -q flowschema "$log" && grep -q poddisruptionbudget "$log" || fail "not all: $log" || return
	k apply --dry-run=server -k "$SRC/manifests/kustomize/base" >"$log" 2>&1 || fail "kustomize: $(grep -i error "$log" | head -3)"
}
restarts() {
	api "api/v1/namespaces/farrier-system/pods" | $PY -c 'import json, sys
print(sum(c["restartCount"] for p in json.load(sys.stdin)["items"] for c in p["status"].get("containerStatuses", [])))'
}
check "inputs: YAML with an unknown field is refused by name" unknown_field
check "inputs: a tree that does not compile is BuildFailed" does_not_compile
remove acceleratordriver noncompiling
check "inputs: a kernel without headers is HeadersMissing" missing_headers
check "inputs: the API server takes every object of the chart and the kustomize base" manifests_taken
check "inputs: a class that matches nothing is NoMatchingDevices" class_without_match
check "inputs: a driver deleted while it is built" deleted_mid_build
check "inputs: verify names a truncated module" verify_truncated
check "inputs: a truncated .ko in the store is replaced, never loaded" truncated_ko
exit $bad
