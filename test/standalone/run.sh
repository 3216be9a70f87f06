#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demo's road as a test: "ok NAME (seconds)" or "not ok NAME: why". Stops at the first that fails: the next ones need it.
# env: BIG=fbar: without NVIDIA's driver
set -uo pipefail
. "$(dirname "$0")/steps.sh"
[ "$(id -u)" = 0 ] || { echo "skip standalone: needs root"; exit 0; }
clean
mkdir -p "$S"
finish() {
	trap - EXIT INT TERM
	if [ "${done:-}" != 1 ]; then
		mkdir -p "$SRC/build/test-logs/standalone"
		[ ! -S "$S/shell.sock" ] || guest -t 60 'journalctl -b --no-pager | tail -300; cat /run/farrier/status.json' \
			>"$SRC/build/test-logs/standalone/guest.log" 2>&1
		cp -r "$S"/*.log "$S"/*.txt "$S"/console.* "$S/outside" "$SRC/build/test-logs/standalone/" 2>/dev/null
	fi
	clean
}
trap finish EXIT
trap 'exit 130' INT TERM
run() { # run NAME FUNCTION
	local s
	s=$(now)
	why=""
	"$2" || { echo "not ok standalone: $1: ${why:-no reason given} ($(since "$s") s)"; exit 1; }
	echo "ok standalone: $1 ($(since "$s") s)"
}
run "Farrier builds" step_build
run "the machine's kernels" step_base
run "its disk" step_disk
run "$BIG builds for $OLD and not for $NEW" step_outside
run "it boots" step_boot
run "edu is built, loaded and computes" step_loaded
run "$BIG is ready for $OLD" step_ready
run "dpkg installs $NEW" step_kernel
run "edu is staged for $NEW before the reboot" step_staged
run "$BIG is told not to be buildable for $NEW" step_reported
run "the reboot is held" step_held
run "preflight says which kernel would lose it" step_preflight
run "it reboots all the same" step_reboot
run "the accelerator answers within a second of sysinit.target" step_answers
run "nothing was compiled" step_nothing_compiled
run "report" step_report
run "purge takes everything off, and what is loaded stays" step_purge
done=1
