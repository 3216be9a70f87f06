#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A bare pod that holds a card survives the reboot of its node, every time and with its own card, while one on the
# upstream sample plugin's resource does not: the kubelet admits old pods at once, and a plugin that is a pod comes too
# late (k8s#125579). At last a reboot that finds the cards in the other order. Needs the cluster and guest that road.sh
# leaves; that and offline.sh look after a bare pod of theirs over one reboot each, too.
# usage: survive.sh      env: TIMES (default 0): reboots before that one
set -uo pipefail
. "$(dirname "$0")/holders.sh"
sample_pod() { # the peer, and a pod that holds one of its devices
	k apply -f "$e2e/objects/sample.yaml" >/dev/null || fail "kubectl apply" || return
	wait_for 240 "the sample plugin's pod" is Running pod_phase sample-holder || fail "$(pod_word sample-holder)"
}
survives() { # both pods are the same pods, run again, and each has its own card
	local one two
	one=$(pod_run first) two=$(pod_run second)
	reboot_guest || return
	wait_for 300 "the first pod" runs_again first "$one" || fail "first: was '$one', is '$(pod_run first)' $(pod_word first)" || return
	wait_for 300 "the second pod" runs_again second "$two" || fail "second: was '$two', is '$(pod_run second)' $(pod_word second)" || return
	wait_for 120 "their words" both_compute || fail "a card does not answer" || return
	own_cards
}
sample_reason() { api "api/v1/namespaces/default/pods/sample-holder" | jget status reason; }
sample_dies() {
	wait_for 240 "the kubelet's word on it" is UnexpectedAdmissionError sample_reason || fail "sample-holder: $(pod_word sample-holder)"
}
remove_sample() {
	k delete -f "$e2e/objects/sample.yaml" --force --grace-period=0 >/dev/null 2>&1
	guest -t 90 'rm -f /tmp/Dev-*'
	wait_for 120 "it to go" no_holders sample
}
# From the next boot on the driver takes the cards in another order: edu0 becomes edu1.
reverse() {
	local order
	order=$(guest -t 90 'for n in $(ls -r /sys/class/edu); do basename $(readlink -f /sys/class/edu/$n/device); done' | tr -d '\r' | tr '\n' ' ')
	[ "$(wc -w <<<"$order")" = 2 ] || fail "cards: '$order'" || return
	guest -t 90 "cat >/etc/modprobe.d/00-order.conf <<X
install edu echo 0 >/sys/bus/pci/drivers_autoprobe; /sbin/modprobe --ignore-install edu \\\$CMDLINE_OPTS; for a in $order; do echo \\\$a >/sys/bus/pci/drivers/edu/bind; done; echo 1 >/sys/bus/pci/drivers_autoprobe
X
sync"
}
reversed() {
	local before after
	before="$(node_of first) $(node_of second)"
	reverse || return
	survives || return
	after="$(node_of first) $(node_of second)"
	echo "   first and second used $before, now $after"
	[ "$before" = "$(awk '{ print $2, $1 }' <<<"$after")" ] || fail "the order is not another: $before, then $after"
}
cleanup() {
	guest -t 90 'rm -f /etc/modprobe.d/00-order.conf; sync' >/dev/null
	release
	remove_sample
}
trap cleanup EXIT
check "survive: two bare pods, each with a card" two_pods || exit 1
check "survive: a bare pod with a device of the sample plugin" sample_pod
for ((n = 1; n <= ${TIMES:-0}; n++)); do
	check "survive: reboot $n, both pods run again with their own cards" survives
done
check "survive: a reboot that reverses the order of the cards, each pod has its own" reversed
check "survive: the sample plugin's pod was refused (UnexpectedAdmissionError)" sample_dies
exit $bad
