#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kubelet, device plugin and containerd killed in every pair, and all three, while pods hold cards; then the plugin is
# updated: no pod notices, and the devices are allocatable again. Needs the cluster and guest that road.sh leaves.
set -uo pipefail
. "$(dirname "$0")/holders.sh"
pids() { guest -t 90 "systemctl show -p MainPID --value $*" | tr -d '\r' | tr '\n' ' '; }
all_new() { # all_new "OLD PIDS" UNIT...: each runs, and is another process than it was
	local old=$1 new p
	shift
	new=$(pids "$@")
	[ "$(wc -w <<<"$new")" = $# ] || return
	for p in $new; do [ "$p" != 0 ] && [[ " $old " != *" $p "* ]] || return; done
}
killed() { # killed UNIT...
	local old s
	old=$(pids "$@")
	s=$(now)
	guest -t 90 "kill -KILL $old" || fail "pids: $old" || return
	wait_for 120 "$* to run again" all_new "$old" "$@" || fail "$*: $(pids "$@")" || return
	wait_for 120 "devices with the kubelet" with_kubelet $CARDS_WANTED || fail "not in GetAllocatableResources" || return
	echo "   $*: allocatable again after $(since "$s") s"
	wait_for 120 "the Node object" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)" || return
	untouched
}
bundle_args() { guest -t 90 'tr "\0" " " </proc/$(systemctl show -p MainPID --value farrier-device-plugin)/cmdline'; }
has_args() { grep -q -- "--log-level debug" <<<"$(bundle_args)"; }
has_no_args() { [ -n "$(bundle_args)" ] && ! has_args; }
# The plugin's options are one argument of the agent, which installs it; prints "INDEX VALUE".
plugin_arg() {
	k -n farrier-system get daemonset farrier-driver-builder -o json | $PY -c 'import json, sys
args = json.load(sys.stdin)["spec"]["template"]["spec"]["containers"][0]["args"]
print(*next((i, a) for i, a in enumerate(args) if a.startswith("--plugin-args=")))'
}
updated() { # updated WANTED VALUE: the agent has that argument, is rolled, and installs the plugin so
	local old s at
	old=$(pids farrier-device-plugin)
	at=$(plugin_arg | cut -d' ' -f1)
	s=$(now)
	k -n farrier-system patch daemonset farrier-driver-builder --type=json -p "[ { \"op\": \"replace\",
		\"path\": \"/spec/template/spec/containers/0/args/$at\", \"value\": \"$2\" } ]" >/dev/null || fail "kubectl patch" || return
	wait_for 300 "the plugin as it is wanted" "$1" || fail "runs as $(bundle_args)" || return
	wait_for 120 "another process" all_new "$old" farrier-device-plugin || fail "the same process" || return
	wait_for 120 "devices with the kubelet" with_kubelet $CARDS_WANTED || fail "not in GetAllocatableResources" || return
	echo "   allocatable again $(since "$s") s after the agent was told"
	wait_for 120 "the Node object" is $CARDS_WANTED allocatable || fail "allocatable: $(allocatable)" || return
	wait_for 300 "Farrier's pods" pods_ready farrier-system 2 || fail "Farrier's pods are not ready" || return
	untouched
}
cleanup() {
	release
	has_no_args || updated has_no_args "$arg"
}
trap cleanup EXIT
arg=$(plugin_arg | cut -d' ' -f2-)
check "kills: two pods hold a card each" two_pods || exit 1
check "kills: kubelet and plugin" killed kubelet farrier-device-plugin
check "kills: plugin and containerd" killed farrier-device-plugin containerd
check "kills: kubelet and containerd" killed kubelet containerd
check "kills: all three" killed kubelet farrier-device-plugin containerd
check "kills: the plugin is updated, no pod notices" updated has_args "$arg --log-level debug"
check "kills: and back" updated has_no_args "$arg"
exit $bad
