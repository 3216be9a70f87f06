#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make demo-standalone: a machine without any cluster upgrades its kernel. Its small driver is built and proved for the
# next kernel before anything reboots; NVIDIA's open driver, as Debian ships it, cannot be built for that kernel: the
# machine says so, with the compiler's own words, and holds the reboot. Then it is rebooted all the same, without a
# network: the accelerator answers at once, and nothing is compiled.
# env: BIG=fbar takes a small driver with NVIDIA's fault instead (no long build); KEEP=1 leaves the machine up
set -uo pipefail
. "$(dirname "$0")/steps.sh"
t0=$(now) names=() times=()
[ "$(id -u)" = 0 ] || { echo "demo: needs root (mount namespaces)" >&2; exit 3; }
cleanup() {
	trap - EXIT INT TERM
	if [ "${KEEP:-}" = 1 ] && [ "${done:-}" = 1 ]; then
		echo "It is up: test/node/guest.py $S 'farrier-driver-builder status'; ended by the next demo-standalone, or: test/standalone/down.sh"
		return
	fi
	[ "${done:-}" = 1 ] || save_logs
	clean
}
save_logs() {
	local to=$SRC/build/demo-logs
	rm -rf "$to"
	mkdir -p "$to"
	[ ! -S "$S/shell.sock" ] || guest -t 60 'journalctl -b --no-pager | tail -300; cat /run/farrier/status.json' >"$to/guest.log" 2>&1
	cp -r "$S"/*.log "$S"/*.txt "$S"/console.* "$S/outside" "$to/" 2>/dev/null
	echo "logs: $to" >&2
}
step() { # step "what is said" FUNCTION
	local s
	s=$(now)
	printf '\n==> %s\n' "$1"
	"$2" || { echo "demo: FAILED: $1: $why" >&2; exit 1; }
	names+=("$1") times+=("$(since "$s")")
	echo "    done in ${times[-1]} s"
}
show() { # show CMD...: on the machine, with its output
	printf '    # %s\n' "$*"
	guest -t 120 "$@" 2>&1 | tr -d '\r' | cut -c1-220 | sed 's/^/    /'
}
step_setup() { "$SRC/hack/setup.sh" | sed 's/^/    /' || fail "hack/setup.sh"; }

clean
mkdir -p "$S"
trap cleanup EXIT
trap 'exit 130' INT TERM
step "install what this needs (Debian packages)" step_setup
step "build Farrier" step_build
step "kernels and disk of the machine (cached)" step_base
if [ "$BIG" = fbar ]; then big="a small driver with NVIDIA's fault"; else big="NVIDIA's open driver, Debian's DKMS tree,"; fi
step "the machine's disk; $big built outside with --root on it (cached)" step_disk
step "$BIG builds for $OLD and cannot for $NEW" step_outside
echo "    $OLD: $(outside_field modules $OLD), $(cat "$S/outside/$OLD.seconds") s"
echo "    $NEW: $(outside_field reason $NEW): $(outside_field error $NEW), $(cat "$S/outside/$NEW.seconds") s" | cut -c1-300
step "power on: kernel $OLD, no network card" step_boot
step "edu: built on the machine, proved, loaded, its device computes" step_loaded
step "$BIG: ready for $OLD" step_ready
show "ls /etc/farrier/drivers.d; farrier-driver-builder status"
step "kernel $NEW is installed (dpkg)" step_kernel
grep -E 'Setting up|symlink' "$S/dpkg.log" | tr -d '\r' | sed 's/^/    /'
step "edu is built and proved for $NEW, which nobody has booted yet" step_staged
step "$BIG cannot be built for $NEW, and the machine says why before the reboot" step_reported
show farrier-driver-builder status
step "the reboot is held: gate, /run/farrier/reboot-hold" step_held
show "farrier-driver-builder gate; echo exit status \$?"
step "preflight says which kernel would lose a driver" step_preflight
show "farrier-driver-builder preflight --kernel $NEW"
step "rebooted all the same, into $NEW" step_reboot
step "the accelerator answers" step_answers
step "nothing was compiled after the reboot" step_nothing_compiled
show "uname -r; ls /sys/class/net; cat /run/answer; farrier-driver-builder status"

printf '\n%-92s %8s\n' "step" "seconds"
for n in "${!names[@]}"; do printf '%-92s %8s\n' "${names[n]}" "${times[n]}"; done
printf '%-92s %8s\n' "everything" "$(since "$t0")"
cat <<T

the boot into $NEW, in seconds of its own clock:
  the host's boot has loaded the modules   $loaded_at
  sysinit.target                           $sysinit_at
  the accelerator has answered             $answered_at   ($after_sysinit s after sysinit.target)
T
done=1
