# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of the machine without a cluster: a QEMU guest with Debian 12 and two edu cards, no network card.
# Its state is in $S: disk.qcow2, console.log, shell.sock, kernel (the release that is started next).
alone=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$alone/../lib.sh"
S=$RUN-standalone/vm # beside a cluster that may run
OLD=6.1.0-47-amd64 NEW=6.1.0-56-amd64
WAIT_STEP=1 # each look costs the emulated machine, and this one, some CPU
guest() { "$SRC/test/node/guest.py" "$S" "$@"; } # guest [-t SECONDS] COMMAND: in the guest's root shell
fdb() { guest -t 120 "farrier-driver-builder $*"; }

vm_start() { # vm_start BASE [--grub]: the loop of QEMU, which comes back after a reboot
	setsid "$alone/qemu.sh" "$S" "$@" </dev/null >"$S/loop.log" 2>&1 &
	echo $! >"$S/loop.pid"
	disown $! # that it is killed one day is no news
	WAIT_STEP=0.1 wait_for 20 "QEMU" alive "$S/qemu.pid" || { cat "$S/loop.log" "$S/qemu.log" >&2; return 1; }
}
vm_stop() { # as if power were cut
	local f p
	for f in loop qemu; do
		p=$(cat "$S/$f.pid" 2>/dev/null) || continue
		# Only a process that is ours by its command line: pids are used again.
		if { tr '\0' ' ' <"/proc/$p/cmdline"; } 2>/dev/null | grep -qF "$S"; then
			kill -KILL "$p"
			for _ in $(seq 100); do
				kill -0 "$p" 2>/dev/null || break
				sleep 0.1
			done
		fi
		rm -f "$S/$f.pid"
	done
}
clean() { # what this run has made, or one that was killed
	vm_stop
	rm -rf --one-file-system "${S%/vm}"
}
