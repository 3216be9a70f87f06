# SPDX-License-Identifier: Apache-2.0
# Sourced by test/demo.sh and the scenarios: the road from nothing to a kernel upgrade survived, step by step.
# Each step returns 0 only when what it is about was seen; $why says what was missing.
e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$e2e/../node/lib.sh"
NODE=v1 OLD=6.1.0-47-amd64 NEW=6.1.0-56-amd64 RESOURCE=farrier.dev/edu CARDS_WANTED=2
ACC=apis/farrier.dev/v1alpha1
why=""
fail() { why="$*"; return 1; }

steps_init() { mkdir -p "$RUN/logs"; vm_vars $NODE; }
accnode() { api "$ACC/acceleratornodes/${1:-$NODE}"; }
# One value out of the AcceleratorNode's status: driver STATE of NAME, and of NAME for kernel RELEASE.
driver_field() { # driver_field NAME FIELD [NODE]
	accnode "${3:-$NODE}" | $PY -c 'import json, sys
for d in json.load(sys.stdin).get("status", {}).get("drivers", []):
    if d["name"] == sys.argv[1]: print(d.get(sys.argv[2], ""))' "$1" "$2"
}
kernel_driver_field() { # kernel_driver_field RELEASE NAME FIELD
	accnode | $PY -c 'import json, sys
for k in json.load(sys.stdin).get("status", {}).get("kernels", []):
    for d in k.get("drivers", []):
        if k["release"] == sys.argv[1] and d["name"] == sys.argv[2]: print(d.get(sys.argv[3], ""))' "$1" "$2" "$3"
}
is() { [ "$("${@:2}")" = "$1" ]; } # is VALUE CMD...
allocatable() { api "api/v1/nodes/${1:-$NODE}" | jget status allocatable $RESOURCE; }
pod_phase() { api "api/v1/namespaces/${2:-default}/pods/$1" | jget status phase; }
pod_run() { # pod_run NAME: its uid and its running container: another one when it was started again
	api "api/v1/namespaces/default/pods/$1" | $PY -c 'import json, sys
try: p = json.load(sys.stdin)
except ValueError: sys.exit(0)
for c in p["status"].get("containerStatuses", []):
    if "running" in c["state"]: print(p["metadata"]["uid"], c["containerID"])'
}
runs_again() { # runs_again NAME "UID CONTAINER": the same pod, another container
	local now_
	now_=$(pod_run "$1")
	[ -n "$now_" ] && [ "${now_% *}" = "${2% *}" ] && [ "$now_" != "$2" ]
}
pods_ready() { # pods_ready NAMESPACE COUNT: so many pods, all of them ready
	api "api/v1/namespaces/$1/pods" | $PY -c 'import json, sys
p = json.load(sys.stdin)["items"]
ok = [x for x in p if any(c["type"] == "Ready" and c["status"] == "True" for c in x["status"].get("conditions", []))]
sys.exit(not (len(ok) == len(p) >= int(sys.argv[1])))' "$2"
}
metric() { # metric NAME: of the node's agent; 0 where there is none
	infra curl -sf --max-time 10 "http://$ip:9441/metrics" >"$RUN/logs/metrics" || return 1
	awk -v n="$1" '$1 == n || index($1, n "{") == 1 { s += $2 } END { print s + 0 }' "$RUN/logs/metrics"
}

# --- the steps ------------------------------------------------------------------------------------
step_build() { make -s -C "$SRC" -j"$(nproc)" all >"$RUN/logs/make.log" 2>&1 || fail "make: see $RUN/logs/make.log"; }
step_images() {
	"$SRC/hack/image.sh" --slim-only >"$RUN/logs/image.log" 2>&1 || fail "hack/image.sh: $(tail -1 "$RUN/logs/image.log")"
}
step_cluster() { "$e2e/../cluster/up.sh" 0 >"$RUN/logs/up.log" || fail "control plane: see $RUN/logs"; }
# The cluster's programs and the node's disk: minutes the first time, nothing later.
step_prepare() { "$e2e/../cluster/build.sh" >/dev/null && "$e2e/../node/mkgolden.sh" >/dev/null || fail "see above"; }
step_node() { # the guest, with the drivers' sources where a distribution's package would put them
	local x=$RUN/extra
	rm -rf "$x"
	mkdir -p "$x/usr/src/edu-1.0" "$x/usr/src/fbar-1.0" "$x/etc/systemd/system/multi-user.target.wants"
	cp "$SRC"/test/drivers/edu/* "$x/usr/src/edu-1.0/"
	cp "$SRC"/test/drivers/broken-next/* "$x/usr/src/fbar-1.0/"
	# Measures, from the next boot on, when the kubelet answered first and when the devices could be given out.
	cat >"$x/etc/systemd/system/podres.service" <<-U
		[Unit]
		Description=When are the devices allocatable
		[Service]
		ExecStart=/bin/sh -c '/usr/local/bin/podres -wait $RESOURCE -count $CARDS_WANTED -timeout 15m >/run/podres.json'
	U
	ln -s ../podres.service "$x/etc/systemd/system/multi-user.target.wants/podres.service"
	EXTRA=$x IMAGES="$SRC/build/images/farrier.tar" "$e2e/../node/up.sh" $NODE >"$RUN/logs/node.log" ||
		fail "node: $(tail -1 "$RUN/logs/node.log")"
}
step_install() { # helm install, and its pods run
	"$e2e/../cluster/helm" upgrade --install farrier "$SRC/manifests/chart" --namespace farrier-system --create-namespace \
		--set devicePlugin.mode=HostService --set controller.replicas=1 ${HELM_ARGS:-} >"$RUN/logs/helm.log" 2>&1 ||
		fail "helm: $(tail -2 "$RUN/logs/helm.log")" || return
	wait_for 600 "Farrier's pods" pods_ready farrier-system 2 || fail "pods of farrier-system are not ready"
}
step_driver() { # the driver is built, loaded and bound
	k apply -f "$e2e/objects/edu.yaml" >/dev/null || fail "kubectl apply" || return
	wait_for 600 "driver edu loaded" is Loaded driver_field edu state ||
		fail "driver edu: $(driver_field edu state) $(driver_field edu reason) $(driver_field edu message)"
}
step_allocatable() {
	wait_for 300 "$RESOURCE allocatable" is $CARDS_WANTED allocatable || fail "allocatable: '$(allocatable)'"
}
pod_computed() { api "api/v1/namespaces/default/pods/factorial/log" | grep -q '10! = 3628800'; }
step_pod() {
	k apply -f "$e2e/objects/pod.yaml" >/dev/null || fail "kubectl apply" || return
	wait_for 600 "the pod's result" pod_computed || fail "pod: $(pod_phase factorial)"
}
# A bare pod that holds a card is the same pod after a reboot: the kubelet admits it at once, and finds its card.
step_pod_survived() { # step_pod_survived "UID CONTAINER"
	[ -n "$1" ] || fail "it did not run before" || return
	wait_for 300 "the pod to run again" runs_again factorial "$1" || fail "pod factorial was '$1', is '$(pod_run factorial)' $(pod_phase factorial)" || return
	wait_for 120 "the pod's result" pod_computed || fail "pod factorial does not compute"
}
step_broken_driver() { # today's kernel is fine with it
	k apply -f "$e2e/objects/fbar.yaml" >/dev/null || fail "kubectl apply" || return
	wait_for 600 "driver fbar built" is Ready kernel_driver_field $OLD fbar state ||
		fail "fbar for $OLD: $(kernel_driver_field $OLD fbar state) $(kernel_driver_field $OLD fbar reason)"
}
step_kernel() { # dpkg installs the next kernel with its headers, as apt upgrade would
	guest -t 1200 "mkdir -p /media/debs; mountpoint -q /media/debs || mount -o ro /dev/vdd /media/debs
dpkg -i /media/debs/$NEW/*.deb" >"$RUN/logs/dpkg.log" || fail "dpkg: $(tail -1 "$RUN/logs/dpkg.log")"
}
step_staged() { # built and verified for a kernel that nobody has booted yet
	wait_for 600 "edu staged for $NEW" is Ready kernel_driver_field $NEW edu state ||
		fail "edu for $NEW: $(kernel_driver_field $NEW edu state) $(kernel_driver_field $NEW edu reason)" || return
	[ "$(guest uname -r | tr -d '\r\n')" = $OLD ] || fail "the node runs $(guest uname -r)"
}
step_reported() { # and what cannot be built is told before anybody reboots
	wait_for 600 "fbar reported" is Failed kernel_driver_field $NEW fbar state ||
		fail "fbar for $NEW: $(kernel_driver_field $NEW fbar state)" || return
	[ -n "$(kernel_driver_field $NEW fbar reason)" ] || fail "no reason given"
}
back() { # in another boot, with the devices in the Node object
	local n
	n=$(api "api/v1/nodes/$NODE") || return 1
	[ "$(jget status nodeInfo bootID <<<"$n")" != "$old_boot" ] &&
		[ "$(jget status allocatable $RESOURCE <<<"$n")" = $CARDS_WANTED ]
}
step_reboot() { # sets reboot_at, node_object_at (host clock)
	old_boot=$(node_state $NODE | cut -d' ' -f1)
	reboot_at=$(now)
	NOWAIT=1 DOWN_WAIT=300 "$e2e/../node/reboot.sh" $NODE || fail "the guest does not reboot" || return
	WAIT_STEP=0.5 wait_for 600 "devices allocatable after the reboot" back || fail "allocatable: '$(allocatable)'" || return
	node_object_at=$(now)
	[ "$(guest -t 60 uname -r | tr -d '\r\n')" = $NEW ] || fail "the node runs $(guest uname -r)"
}
# Times of the last boot, in seconds of the guest's uptime: up_socket up_allocatable; node_lag for the Node object.
step_times() {
	local a b up
	wait_for 120 "podres" guest -t 20 'test -s /run/podres.json' || fail "podres has no answer" || return
	guest -t 20 'cat /run/podres.json' >"$RUN/podres.json"
	up_socket=$(jget kubeletSocket <"$RUN/podres.json") up_allocatable=$(jget allocatable <"$RUN/podres.json")
	a=$(now)
	up=$(guest -t 20 'cut -d" " -f1 /proc/uptime')
	b=$(now)
	registered_in=$(awk -v s="$up_socket" -v a="$up_allocatable" 'BEGIN { printf "%.2f", a - s }')
	# Host time at which the kubelet's socket answered: now less what has passed in the guest since.
	node_lag=$(awk -v n="${node_object_at:-$b}" -v a="$a" -v b="$b" -v u="$up" -v s="$up_socket" \
		'BEGIN { printf "%.1f", n - ((a + b) / 2 - (u - s)) }')
}
step_nothing_compiled() { # after the reboot the store gave what was needed
	local n
	n=$(guest -t 30 'find /var/lib/farrier/store -name manifest.json -newermt "$(uptime -s)" | wc -l') || fail "no store" || return
	[ "${n//[^0-9]/}" = 0 ] || fail "$n artifacts made after the boot" || return
	wait_for 240 "the agent's metrics" metric farrier_builds_total || fail "the agent has no metrics" || return
	[ "$(metric farrier_builds_total)" = 0 ] || fail "$(metric farrier_builds_total) builds after the boot"
}
step_down() { "$e2e/../cluster/down.sh"; }
