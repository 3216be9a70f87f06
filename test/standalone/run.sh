#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The machine without a cluster as a test, in three parts, each on a fresh disk: "ok NAME (seconds)" or "not ok NAME: why".
# A part stops at the first that fails: the next ones need it.
#   road   make demo-standalone's: the next kernel staged before the reboot, what cannot be built told and held
#   cuts   power cut in the middle of a build, of a store write, of a load; builds limited by control groups of version 2
#   grub   KeepLastGood on a machine that boots by its own GRUB: by force, by power cut, and in the end on purpose
# usage: run.sh [PART...]     env: BIG=fbar: without NVIDIA's driver; CUTS, CUTS_SEED
set -uo pipefail
. "$(dirname "$0")/steps.sh"
. "$alone/steps-cuts.sh"
. "$alone/steps-grub.sh"
[ "$(id -u)" = 0 ] || { echo "skip standalone: needs root"; exit 0; }
[ $# -gt 0 ] || set -- road cuts grub
clean
failed=0
save() { # what a part that failed has left
	local to=$SRC/build/test-logs/standalone-$1
	rm -rf "$to"
	mkdir -p "$to"
	[ ! -S "$S/shell.sock" ] || guest -t 60 'journalctl -b --no-pager | tail -300; cat /run/farrier/status.json' >"$to/guest.log" 2>&1
	cp -r "$S"/*.log "$S"/*.txt "$S"/console.* "$S/grub.cfg" "$S/outside" "$to/" 2>/dev/null
}
finish() {
	trap - EXIT INT TERM
	clean
}
trap finish EXIT
trap 'exit 130' INT TERM
run() { # run NAME FUNCTION
	local s
	[ "$is_broken" = 0 ] || return 0
	s=$(now)
	why="" note=""
	if "$2"; then
		echo "ok standalone: $1 ($(since "$s") s)${note:+: $note}"
	else
		echo "not ok standalone: $1: ${why:-no reason given} ($(since "$s") s)"
		is_broken=1 failed=1
	fi
}
part_road() {
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
}
part_cuts() {
	run "cuts: its disk" step_cuts_disk
	run "cuts: it boots" step_boot
	run "cuts: from nothing to loaded and installed" step_cuts_whole
	run "cuts: in the middle of a build" step_cut_build
	run "cuts: that build was limited by a control group of version 2" step_cgroup_limit
	run "cuts: in the middle of a store write" step_cut_store
	run "cuts: in the middle of a load" step_cut_load
	run "cuts: in the middle of an installation" step_cut_install
	run "cuts: at random" step_cuts_random
	run "cuts: a build that eats memory is ended by its control group" step_cgroup_hog
}
part_grub() {
	run "grub: its disk" step_grub_disk
	run "grub: GRUB boots $OLD" step_grub_boot
	run "grub: edu is built, loaded and computes" step_loaded
	run "grub: dpkg installs $NEW and makes it the default" step_grub_kernel
	run "grub: edu cannot be built for $NEW" step_grub_reported
	run "grub: the gate is shut and $OLD is kept" step_grub_kept
	run "grub: systemd lists the shutdown lock" step_grub_inhibitor
	run "grub: rebooted by force, it boots $OLD with its driver" step_grub_forced
	run "grub: after a power cut as well" step_grub_cut
	run "grub: buildable again, GRUB has its own default back" step_grub_fixed
	run "grub: the reboot goes to $NEW, with its driver" step_grub_reboot
}
is_broken=0
mkdir -p "$S"
run "Farrier builds" step_build
run "the machine's kernels" step_base
first=$is_broken
for part; do
	[ "$(type -t "part_$part")" = function ] || { echo "not ok standalone: no part '$part'"; failed=1; continue; }
	is_broken=$first
	[ $is_broken = 0 ] || break
	"part_$part"
	[ $is_broken = 0 ] || save "$part"
	clean
	mkdir -p "$S"
done
exit $failed
