# SPDX-License-Identifier: Apache-2.0
# Sourced by run.sh after steps.sh: a machine whose own boot loader chooses the kernel (SeaBIOS, Debian's GRUB on the disk,
# the grub.cfg that update-grub wrote), and a driver with onUnbuildable: KeepLastGood that the next kernel cannot have.

step_grub_disk() {
	local grub
	# shellcheck disable=SC2154 # of steps.sh
	grub=$("$alone/mkgrub.sh" "$base") || fail "see above" || return
	"$alone/mkdisk.sh" "$base" edu-keep --grub "$grub" || fail "see $S/mkdisk.log" || return
	rm -f "$S/disk.qcow2"
	qemu-img create -q -f qcow2 -F raw -b "$S/disk.img" "$S/disk.qcow2" || fail "qemu-img"
}
step_grub_boot() {
	vm_start "$base" --grub || fail "QEMU does not start" || return
	wait_for 600 "the guest" guest -t 10 true || fail "no shell: $(tail -c 200 "$S/console.log")" || return
	is_booted $OLD
}
is_booted() { # is_booted RELEASE: by GRUB, as the kernel's own command line says
	[ "$(word uname -r)" = "$1" ] || fail "it runs $(word uname -r)" || return
	[[ "$(word cat /proc/cmdline)" == "BOOT_IMAGE=/boot/vmlinuz-$1 "* ]] || fail "not by GRUB: $(word cat /proc/cmdline)"
}
in_grubenv() { guest -t 60 'grub-editenv list' | tr -d '\r' | grep -q "$1"; }
step_grub_kernel() { # dpkg runs Debian's own hooks, which make the menu anew
	step_kernel || return
	guest -t 60 'cat /boot/grub/grub.cfg' >"$S/grub.cfg" || fail "no grub.cfg" || return
	grep -q "vmlinuz-$NEW" "$S/grub.cfg" || fail "update-grub has not put $NEW into grub.cfg" || return
	# Without Farrier it would be the newest: the first entry.
	grep -m1 -E '^[[:space:]]*linux[[:space:]]' "$S/grub.cfg" | grep -q "vmlinuz-$NEW" || fail "$NEW is not the first entry"
}
step_grub_reported() {
	wait_for 900 "edu told" is BuildFailed kernel_field $NEW edu reason ||
		fail "edu for $NEW: $(kernel_field $NEW edu state) $(kernel_field $NEW edu reason)"
}
kept() { guest -t 60 'cat /run/farrier/reboot-hold' | grep -q "^$OLD - Kept "; }
refuses() { # as a reboot daemon's sentinel sees it, while it is tried again too
	local rc=0
	guest -t 60 'farrier-driver-builder gate' >"$S/gate.txt" || rc=$?
	[ $rc = 1 ] && grep -q "^$NEW edu BuildFailed .*pci_resize_resource" "$S/gate.txt"
}
step_grub_kept() { # the gate is shut, and GRUB's default is the kernel that works
	wait_for 300 "GRUB told" kept || fail "reboot-hold: $(word cat /run/farrier/reboot-hold)" || return
	wait_for 600 "the gate's refusal" refuses || fail "gate says: $(cat "$S/gate.txt")" || return
	in_grubenv "^saved_entry=.*$OLD" || fail "grubenv: $(word grub-editenv list)"
}
listed() { guest -t 60 'systemd-inhibit --list' | tr -d '\r' | grep -E 'farrier.* shutdown .*block'; }
unlisted() { guest -t 60 'systemd-inhibit --list' >"$S/inhibit.txt" && ! grep -q farrier "$S/inhibit.txt"; }
step_grub_inhibitor() {
	wait_for 300 "the shutdown lock" listed || fail "systemd-inhibit --list: $(word systemd-inhibit --list)"
}
boot_id() { word cat /proc/sys/kernel/random/boot_id; }
is_new_boot() { local id; id=$(guest -t 10 'cat /proc/sys/kernel/random/boot_id' | tr -d '\r\n'); [[ $id == ????????-*-???????????? && $id != "$was" ]]; }
step_grub_forced() { # nobody is asked
	was=$(boot_id)
	timeout 30 "$SRC/test/node/guest.py" "$S" -t 20 'reboot -f' >/dev/null 2>&1
	wait_for 600 "the next boot" is_new_boot || fail "no new boot: $(tail -c 200 "$S/console.log")" || return
	is_booted $OLD && step_loaded
}
step_grub_cut() { # power is cut: the machine starts from nothing, its disk as it was at that moment
	was=$(boot_id)
	vm_stop
	vm_start "$base" --grub || fail "QEMU does not start" || return
	wait_for 600 "the next boot" is_new_boot || fail "no new boot: $(tail -c 200 "$S/console.log")" || return
	is_booted $OLD && step_loaded || return
	wait_for 300 "GRUB still told" kept || fail "reboot-hold: $(word cat /run/farrier/reboot-hold)"
}
step_grub_fixed() { # the documented remedy: an override for that kernel; then GRUB has its own default again
	guest -t 60 "cd /etc/farrier/drivers.d && sed 's/toolchain: Host/&, kernels: [ { regexp: \"^6[.]1[.]0-56-\", makeArgs: [ KCFLAGS=-DEDU_FIXED ] } ]/' edu-keep.yaml >/run/edu.yaml && mv /run/edu.yaml edu-keep.yaml" ||
		fail "manifest" || return
	wait_for 900 "edu for $NEW" is Ready kernel_field $NEW edu state ||
		fail "edu for $NEW: $(kernel_field $NEW edu state) $(kernel_field $NEW edu message)" || return
	wait_for 300 "no hold" guest -t 60 'farrier-driver-builder gate' || fail "held: $(word cat /run/farrier/reboot-hold)" || return
	! in_grubenv "$OLD" || fail "grubenv: $(word grub-editenv list)" || return
	wait_for 300 "no shutdown lock" unlisted || fail "systemd-inhibit --list: $(cat "$S/inhibit.txt")"
}
step_grub_reboot() {
	was=$(boot_id)
	timeout 30 "$SRC/test/node/guest.py" "$S" -t 20 'systemctl reboot' >/dev/null 2>&1
	wait_for 600 "the next boot" is_new_boot || fail "no new boot: $(tail -c 200 "$S/console.log")" || return
	is_booted $NEW && step_loaded
}
