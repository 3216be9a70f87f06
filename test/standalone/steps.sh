# SPDX-License-Identifier: Apache-2.0
# Sourced by demo.sh and run.sh: the life of a machine without a cluster, step by step. Each step returns 0 only when what
# it is about was seen; $why says what was missing. $BIG is the driver that the next kernel cannot have: nvidia-open, or
# fbar, which is small and has the same fault.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
BIG=${BIG:-nvidia-open}
why=""
fail() { why="$*"; return 1; }

status() { guest -t 30 'cat /run/farrier/status.json'; }
# One value of the status: the driver's for the running kernel, or for RELEASE.
driver_field() { # driver_field NAME FIELD
	status | $PY -c 'import json, sys
for d in json.load(sys.stdin).get("drivers", []):
    if d["name"] == sys.argv[1]: print(d.get(sys.argv[2], ""))' "$@" 2>/dev/null
}
kernel_field() { # kernel_field RELEASE NAME FIELD
	status | $PY -c 'import json, sys
for k in json.load(sys.stdin).get("kernels", []):
    for d in k.get("drivers", []):
        if k["release"] == sys.argv[1] and d["name"] == sys.argv[2]: print(d.get(sys.argv[3], ""))' "$@" 2>/dev/null
}
is() { [ "$("${@:2}")" = "$1" ]; } # is VALUE CMD...
word() { guest -t 60 "$@" | tr -d '\r\n'; }

step_build() { make -s -C "$SRC" -j"$(nproc)" all >"$S/make.log" 2>&1 || fail "make: $(tail -1 "$S/make.log")"; }
step_base() { base=$("$alone/mkbase.sh") || fail "see above"; }
step_disk() {
	"$alone/mkdisk.sh" "$base" edu --outside "$BIG" || fail "see $S/mkdisk.log" || return
	qemu-img create -q -f qcow2 -F raw -b "$S/disk.img" "$S/disk.qcow2" || fail "qemu-img"
}
outside_field() { jget1 "$1" <"$S/outside/$2.json"; } # outside_field FIELD RELEASE
jget1() { $PY -c 'import json, sys
v = json.load(sys.stdin).get(sys.argv[1], "")
print(" ".join(v) if isinstance(v, list) else v)' "$1"; }
step_outside() { # what the builds outside came to
	[ "$(outside_field reason $OLD)" = "" ] || fail "for $OLD: $(outside_field error $OLD)" || return
	[ "$(outside_field reason $NEW)" = BuildFailed ] || fail "for $NEW: '$(outside_field reason $NEW)'"
}
step_boot() {
	echo $OLD >"$S/kernel"
	vm_start "$base" || fail "QEMU does not start" || return
	wait_for 300 "the guest" guest -t 10 true || fail "no shell"
}
step_loaded() { # built on the machine, loaded, and the device computes
	wait_for 900 "edu loaded" is Loaded driver_field edu state ||
		fail "edu: $(driver_field edu state) $(driver_field edu reason) $(driver_field edu message)" || return
	guest -t 30 'edutest /dev/edu0 fact 10' | grep -q 3628800 || fail "/dev/edu0 does not answer"
}
step_ready() { # the other driver too, with the kernel of today; the devices that it is for may be absent
	wait_for 900 "$BIG for $OLD" is Ready kernel_field $OLD "$BIG" state ||
		fail "$BIG for $OLD: $(kernel_field $OLD "$BIG" state) $(kernel_field $OLD "$BIG" message)" || return
	# A driver is loaded first and installed for the next boot right after.
	wait_for 300 "no hold" guest -t 60 'farrier-driver-builder gate' || fail "a reboot is held: $(word cat /run/farrier/reboot-hold)"
}
step_kernel() { # as apt upgrade would
	guest -t 1200 "mkdir -p /media/debs; mount -o ro /dev/vdb /media/debs; dpkg -i /media/debs/*.deb" >"$S/dpkg.log" ||
		fail "dpkg: $(tail -1 "$S/dpkg.log")"
}
step_staged() { # built and proved for a kernel that nobody has booted yet
	wait_for 900 "edu for $NEW" is Ready kernel_field $NEW edu state ||
		fail "edu for $NEW: $(kernel_field $NEW edu state) $(kernel_field $NEW edu message)" || return
	[ "$(word uname -r)" = $OLD ] || fail "it runs $(word uname -r)" || return
	guest -t 60 "farrier-driver-builder verify /lib/modules/$NEW/updates/farrier/edu.ko --kernel $NEW" >"$S/verify.log" ||
		fail "verify: $(cat "$S/verify.log")"
}
step_reported() { # what cannot be built is told before the reboot: reason, the compiler's own words, remedy
	wait_for 900 "$BIG told" is Failed kernel_field $NEW "$BIG" state || fail "$BIG: $(kernel_field $NEW "$BIG" state)" || return
	[ "$(kernel_field $NEW "$BIG" reason)" = BuildFailed ] || fail "reason: $(kernel_field $NEW "$BIG" reason)" || return
	kernel_field $NEW "$BIG" message | grep -q 'error: too few arguments to function .*pci_resize_resource' ||
		fail "message: $(kernel_field $NEW "$BIG" message)" || return
	guest -t 60 'farrier-driver-builder status' >"$S/status.txt" || fail "status" || return
	grep -q -- '-> .*support this kernel' "$S/status.txt" || fail "no remedy"
}
step_held() { # reboot daemons ask before they act
	local rc=0
	guest -t 60 'farrier-driver-builder gate' >"$S/gate.txt" || rc=$?
	[ $rc = 1 ] || fail "gate: exit status $rc" || return
	grep -q "^$NEW $BIG BuildFailed " "$S/gate.txt" || fail "gate says: $(cat "$S/gate.txt")" || return
	guest -t 30 'test -s /run/farrier/reboot-hold' || fail "no /run/farrier/reboot-hold"
}
step_preflight() { # the same for scripts, without the agent: which kernel would lose a driver
	local rc=0
	guest -t 120 "farrier-driver-builder preflight --kernel $OLD" >"$S/preflight-old.txt" || fail "for $OLD: $(cat "$S/preflight-old.txt")" || return
	guest -t 120 "farrier-driver-builder preflight --kernel $NEW" >"$S/preflight.txt" || rc=$?
	[ $rc = 1 ] || fail "for $NEW: exit status $rc" || return
	grep -Eq "$BIG +Failed +BuildFailed: " "$S/preflight.txt" || fail "for $NEW: $(cat "$S/preflight.txt")" || return
	grep -Eq "edu +Ready" "$S/preflight.txt" || fail "for $NEW: $(cat "$S/preflight.txt")"
}
down() { ! kill -0 "$qemu" 2>/dev/null; }
step_reboot() { # by an admin who goes on all the same; there is no network in this machine
	qemu=$(cat "$S/qemu.pid")
	timeout 20 "$SRC/test/node/guest.py" "$S" -t 10 'sync; systemctl reboot -i' >/dev/null 2>&1
	wait_for 300 "the guest to go down" down || fail "it does not go down" || return
	WAIT_STEP=0.1 wait_for 30 "QEMU" alive "$S/qemu.pid" || fail "QEMU does not start again" || return
	wait_for 300 "the guest" guest -t 10 true || fail "no shell" || return
	[ "$(word uname -r)" = $NEW ] || fail "it runs $(word uname -r)"
}
slowness() { # 1, or how many more want to run here than there are CPUs for: an emulated machine gets that share
	awk -v n="$(nproc)" '{ s = $1 / n; print (s > 2 ? s : 1) }' /proc/loadavg
}
step_answers() { # sets sysinit_at loaded_at answered_at: seconds of the guest's clock
	wait_for 300 "the accelerator" guest -t 20 'test -s /run/answered && systemctl is-active -q sysinit.target' || fail "/dev/edu0 does not answer" || return
	guest -t 30 'grep -q 3628800 /run/answer' || fail "it answered $(word cat /run/answer)" || return
	answered_at=$(word cat /run/answered)
	sysinit_at=$(word systemctl show -P ActiveEnterTimestampMonotonic sysinit.target | awk '{ printf "%.2f", $1 / 1e6 }')
	loaded_at=$(word systemctl show -P ActiveEnterTimestampMonotonic systemd-modules-load.service | awk '{ printf "%.2f", $1 / 1e6 }')
	after_sysinit=$(awk -v a="$answered_at" -v b="$sysinit_at" 'BEGIN { printf "%.2f", a - b }')
	note="loaded at $loaded_at, sysinit.target at $sysinit_at, answered at $answered_at s of uptime"
	# The host's boot loads before sysinit.target, on however slow a machine; the answer is an emulated process more.
	awk -v d="$loaded_at" -v s="$sysinit_at" 'BEGIN { exit !(d > 0 && d <= s) }' || fail "loaded at $loaded_at, sysinit.target at $sysinit_at" || return
	awk -v d="$after_sysinit" -v s="${FARRIER_SLOW:-$(slowness)}" 'BEGIN { exit !(d <= 1.0 * s) }' || fail "$after_sysinit s after sysinit.target"
}
step_nothing_compiled() {
	local n
	wait_for 300 "the agent's status" is Loaded driver_field edu state || fail "edu: $(driver_field edu state)" || return
	n=$(word 'find /var/lib/farrier/store -name manifest.json -newermt "$(uptime -s)" | wc -l')
	[ "$n" = 0 ] || fail "$n artifacts made after the boot"
	guest -t 30 'journalctl -b -u farrier-driver-builder --no-pager' | grep -q 'build started' && fail "a build was started"
	return 0
}
step_report() {
	guest -t 120 'farrier-driver-builder report' >"$S/report.json" || fail "report" || return
	[ "$(jget1 kernel <"$S/report.json")" = $NEW ] || fail "no report: $(head -c 200 "$S/report.json")"
}
step_purge() { # nothing of Farrier is left but what is loaded
	guest -t 60 'farrier-driver-builder purge --yes' >"$S/purge.txt" 2>&1 && fail "it purges while the agent runs" && return 1
	guest -t 300 'systemctl stop farrier-driver-builder && farrier-driver-builder purge --yes' >"$S/purge.txt" 2>&1 ||
		fail "purge: $(tail -1 "$S/purge.txt")" || return
	[ -z "$(word 'ls -d /lib/modules/*/updates/farrier /etc/modules-load.d/farrier-* /etc/modprobe.d/farrier-* /var/lib/farrier /run/farrier/status.json 2>/dev/null')" ] ||
		fail "not everything is gone" || return
	guest -t 30 'edutest /dev/edu0 fact 10' | grep -q 3628800 || fail "the device no longer answers"
}
