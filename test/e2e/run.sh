#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The scenarios, all on one cluster and one guest: each tells "ok NAME (seconds)" or "not ok NAME: why".
# usage: run.sh [SCENARIO...]     default: road offline inputs survive wave uninstall     KEEP=1 leaves the cluster up
set -uo pipefail
. "$(dirname "$0")/steps.sh"
[ $# -gt 0 ] || set -- road offline inputs survive wave uninstall
[ "$(id -u)" = 0 ] || { echo "skip e2e: needs root"; exit 0; }
cleanup() {
	trap - EXIT INT TERM
	[ "${KEEP:-}" = 1 ] || step_down
}
step_down # what a run that was killed has left
trap cleanup EXIT
trap 'exit 130' INT TERM
steps_init
# An emulated machine that was starved of CPU may never do anything again but take timer interrupts, on all its CPUs: seen
# once. That is the emulator's fault and no news of Farrier's, and it does not even answer on its serial line.
hangs() { alive "$S/qemu.pid" && ! guest -t 60 true >/dev/null 2>&1; }
again() { # again SCENARIO: after a hang, on a machine that works
	echo "   the guest hangs, not even its serial line answers: its power is cut, and $1 begins anew"
	if [ "$1" = road ]; then
		step_down
		steps_init
	else
		"$node_here/reboot.sh" $NODE --crash >"$RUN/logs/hang.log" 2>&1 || return
		WAIT_STEP=1 wait_for 300 "devices" is $CARDS_WANTED allocatable || return
	fi
	"$e2e/$1.sh"
}
rc=0
for s; do
	case $s in
	road | wave | wave-kills | details | registry | gang | volcano) ;; # these make what they need, or say so
	*) alive "$S/qemu.pid" || { echo "not ok $s: no node to run it on"; rc=1; continue; } ;;
	esac
	was=0
	told=$(mktemp) # what failed on a guest that hangs is not counted
	"$e2e/$s.sh" 2>&1 | sed -u -e "w $told" -e 's/^not ok /   failed: /' || was=1
	if [ $was = 1 ] && hangs; then
		was=0
		again "$s" || was=1
	else
		grep -a '^not ok ' "$told"
	fi
	rm -f "$told"
	[ $was = 0 ] || { rc=1; "$e2e/save-logs.sh" "$s" 1; }
done
exit $rc
