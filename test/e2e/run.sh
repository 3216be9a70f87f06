#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The scenarios, all on one cluster and one guest: each tells "ok NAME (seconds)" or "not ok NAME: why".
# usage: run.sh [SCENARIO...]     default: road offline inputs wave uninstall     KEEP=1 leaves the cluster up
set -uo pipefail
. "$(dirname "$0")/steps.sh"
[ $# -gt 0 ] || set -- road offline inputs wave uninstall
[ "$(id -u)" = 0 ] || { echo "skip e2e: needs root"; exit 0; }
cleanup() {
	trap - EXIT INT TERM
	[ "${KEEP:-}" = 1 ] || step_down
}
step_down # what a run that was killed has left
trap cleanup EXIT
trap 'exit 130' INT TERM
rc=0
for s; do
	case $s in
	road | wave) ;; # these make what they need
	*) alive "$RUN/vm-$NODE/qemu.pid" || { echo "not ok $s: no node to run it on"; rc=1; continue; } ;;
	esac
	"$e2e/$s.sh" || rc=1
	[ $rc = 0 ] || "$e2e/save-logs.sh" "$s" $rc
done
exit $rc
