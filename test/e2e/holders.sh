# SPDX-License-Identifier: Apache-2.0
# Sourced by scenarios: bare pods that hold a card and use it all the time, which card that is, and whether it still is.
. "$(dirname "${BASH_SOURCE[0]}")/scenario.sh"
steps_init
hold() { # hold NAME...: each a pod that keeps one card busy
	local p
	for p; do
		k apply -f - >/dev/null <<-Y || fail "kubectl apply" || return
			apiVersion: v1
			kind: Pod
			metadata: { name: $p, labels: { app: holders } }
			spec:
			  nodeSelector: { farrier.test/vm: "true" }
			  restartPolicy: Always
			  terminationGracePeriodSeconds: 1
			  containers:
			  - name: c
			    image: registry.local/edutest:1
			    imagePullPolicy: Never
			    command: [ /bin/sh, -c, 'trap "exit 1" TERM; for d in /dev/edu*; do echo card \$d; edutest \$d hold 1000000000 & done; wait' ]
			    resources: { limits: { $RESOURCE: 1, cpu: 100m, memory: 32Mi } }
		Y
	done
	for p; do wait_for 240 "pod $p" computes "$p" || fail "pod $p: $(pod_word "$p")" || return; done
}
pod_log() { api "api/v1/namespaces/default/pods/$1/log"; }
pod_word() { api "api/v1/namespaces/default/pods/$1" | jget status | $PY -c 'import json, sys
try: s = json.load(sys.stdin)
except ValueError: sys.exit("no such pod")
print(s.get("phase"), s.get("reason", ""), s.get("message", ""))'; }
computes() { [ "$(pod_phase "$1")" = Running ] && [ "$(pod_log "$1" | tail -n 1 | grep -c 'ioctl: ok')" = 1 ]; }
id_of() { # id_of POD: the card that the kubelet gave it, by its id (a PCI address)
	guest -t 90 podres -list | $PY -c 'import json, sys
print(",".join(d["id"] for d in json.load(sys.stdin) or [] if d["pod"].endswith("/" + sys.argv[1])))' "$1"
}
node_of() { pod_log "$1" | sed -n 's/^card //p' | tail -n 1 | tr -d '\r\n'; } # node_of POD: the card that it opened
address_of() { guest -t 90 "basename \$(readlink -f /sys/class/edu/$(basename "$1")/device)" | tr -d '\r\n'; } # address_of /dev/eduN
own_card() { # own_card POD ID: the kubelet says so, and the node that it uses is that card's
	local has id
	id=$(id_of "$1")
	[ "$id" = "$2" ] || fail "the kubelet says that pod $1 holds '$id', it held '$2'" || return
	has=$(address_of "$(node_of "$1")")
	[ "$has" = "$2" ] || fail "pod $1 uses card '$has' ($(node_of "$1")), its own is '$2'"
}
with_kubelet() { # with_kubelet COUNT: GetAllocatableResources, what this kubelet could give out just now
	[ "$(guest -t 90 'timeout 20 podres' | $PY -c 'import json, sys
print(sum(d["resource"] == sys.argv[1] for d in json.load(sys.stdin) or []))' $RESOURCE 2>/dev/null)" = "$1" ]
}
# The pods "first" and "second", each with a card of its own; sets cards and runs.
cards=() runs=""
two_pods() {
	k delete pod factorial --ignore-not-found --force --grace-period=0 >/dev/null 2>&1 # it has one of them
	hold first second || return
	cards=("$(id_of first)" "$(id_of second)")
	[ -n "${cards[0]}" ] && [ -n "${cards[1]}" ] && [ "${cards[0]}" != "${cards[1]}" ] || fail "cards: '${cards[*]}'" || return
	runs="$(pod_run first) $(pod_run second)"
	own_cards
}
own_cards() { own_card first "${cards[0]}" && own_card second "${cards[1]}"; }
both_compute() { computes first && computes second; }
# They are the same containers, on the same cards, and no computation has failed.
untouched() {
	[ "$(pod_run first) $(pod_run second)" = "$runs" ] || fail "a container was started again" || return
	# Its logs come through containerd, which may have only just begun to answer.
	wait_for 120 "the pods' words" both_compute || fail "a card does not answer: $(pod_log first | tail -1) / $(pod_log second | tail -1)" || return
	[ "$(pod_log first | grep -c ioctl)$(pod_log second | grep -c ioctl)" = 11 ] || fail "a card did not answer for a while: $(pod_log first)$(pod_log second)" || return
	own_cards
}
no_holders() { [ "$(api "api/v1/namespaces/default/pods?labelSelector=app%3D${1:-holders}" | grep -c '"phase"')" = 0 ]; }
release() { # KEEP_HOLDERS=1 leaves the pods for the next scenario
	[ -z "${KEEP_HOLDERS:-}" ] || return 0
	k delete pods -l app=holders --force --grace-period=0 >/dev/null 2>&1
	wait_for 120 "pods to go" no_holders || fail "pods stay"
}
# Another boot, on whatever kernel it is: sets old_boot.
reboot_guest() {
	old_boot=$(node_state $NODE | cut -d' ' -f1)
	NOWAIT=1 DOWN_WAIT=300 "$e2e/../node/reboot.sh" $NODE >"$RUN/logs/reboot.log" 2>&1 || fail "$(tail -1 "$RUN/logs/reboot.log")" || return
	WAIT_STEP=0.5 wait_for 600 "devices allocatable" back || fail "allocatable: '$(allocatable)'"
}
