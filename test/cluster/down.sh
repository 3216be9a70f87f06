#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ends everything that up.sh started (or a run that was killed left behind). Killing a namespace's first process ends
# every process in it, pods too; mounts and network go with it. Left are cgroups and, with -k kept, the state.
# usage: down.sh [-k]
set -uo pipefail
. "$(dirname "$0")/lib.sh"
for f in "$RUN"/*.pid "$RUN"/vm-*/*.pid; do
	[ -s "$f" ] || continue
	p=$(cat "$f")
	if { tr '\0' ' ' <"/proc/$p/cmdline"; } 2>/dev/null | grep -qF -e "$RUN"; then # not a reused pid
		kill -KILL "$p"
		for _ in $(seq 100); do
			kill -0 "$p" 2>/dev/null || break
			sleep 0.1
		done
	fi
	rm -f "$f"
done
left() { ls -d /sys/fs/cgroup/*/"$CG"-* 2>/dev/null; }
for _ in $(seq 50); do
	for c in $(left); do find "$c" -depth -type d -exec rmdir {} + 2>/dev/null; done
	[ -n "$(left)" ] || break
	sleep 0.2
done
[ "${1:-}" = -k ] || rm -rf --one-file-system "$RUN"
[ -z "$(left)" ] || { echo "cgroups left:" "$(left)" >&2; exit 1; }
