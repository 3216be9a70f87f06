# SPDX-License-Identifier: Apache-2.0
# Sourced by run.sh after steps.sh: power is cut in the middle of a build, of a store write, of a load, of an installation,
# and whenever chance wants it. A moment is made to last by freezing the agent's control group, everything that it has
# started in it: then QEMU is killed. After each cut the machine boots, without a network, and must come to the same end.
# env: CUTS (2) random ones, CUTS_SEED (1)
agent_group=/sys/fs/cgroup/system.slice/farrier-driver-builder.service
state=/var/lib/farrier

step_cuts_disk() {
	# shellcheck disable=SC2154 # of steps.sh
	"$alone/mkdisk.sh" "$base" edu || fail "see $S/mkdisk.log" || return
	rm -f "$S/disk.qcow2"
	qemu-img create -q -f qcow2 -F raw -b "$S/disk.img" "$S/disk.qcow2" || fail "qemu-img"
}
fresh() { # as if the agent had never been here, its device without a driver; nothing is left to be written by that
	guest -t 300 'systemctl stop farrier-driver-builder && farrier-driver-builder purge --yes >/dev/null && { rmmod edu 2>/dev/null || true; } &&
		[ ! -e /sys/module/edu ] && sync' >"$S/fresh.txt" 2>&1 || fail "purge: $(tail -1 "$S/fresh.txt")" || return
	guest -t 60 'systemctl start --no-block farrier-driver-builder' || fail "the agent does not start"
}
again() { # what is stored stays; it is to be loaded and installed once more
	guest -t 300 "systemctl stop farrier-driver-builder && rmmod edu && rm -rf /lib/modules/*/updates/farrier $state/loaded.json \
		/etc/modules-load.d/farrier-* /etc/modprobe.d/farrier-* && sync" >"$S/fresh.txt" 2>&1 || fail "back: $(tail -1 "$S/fresh.txt")" || return
	guest -t 60 'systemctl start --no-block farrier-driver-builder' || fail "the agent does not start"
}
# The moment, as a condition of bash; what it looks at has to be seen again once the agent is frozen.
declare -A moment=(
	[build]="compgen -G '$state/build/*/src/*.o' >/dev/null"
	[store]="compgen -G '$state/store/.new-*/modules/edu.ko' >/dev/null"
	[load]="[[ -e /sys/module/edu ]]"
	[install]="compgen -G '/lib/modules/*/updates/farrier/*edu.ko*' >/dev/null"
)
declare -A beyond=( # what must not have come yet
	[build]="compgen -G '$state/store/??' >/dev/null"
	[store]="compgen -G '$state/store/??/*' >/dev/null"
	[load]="[[ -e $state/loaded.json ]]"
	[install]="[[ -e /etc/modules-load.d/farrier-edu.conf && -e /lib/modules/$OLD/updates/farrier/edu.ko &&
		/lib/modules/$OLD/modules.dep -nt /lib/modules/$OLD/updates/farrier/edu.ko ]]"
)
watch() { # watch MOMENT: in the guest, until it comes; "CUT MOMENT in time" or "CUT MOMENT too late" on its console
	guest -t 60 "cat >/run/watch-$1 <<'W'
until $(printf %s "${moment[$1]}") || $(printf %s "${beyond[$1]}"); do :; done
echo 1 >$agent_group/cgroup.freeze
until grep -q 'frozen 1' $agent_group/cgroup.events; do :; done
when='too late'
if $(printf %s "${moment[$1]}") && ! { $(printf %s "${beyond[$1]}"); }; then when='in time'; fi
echo \"CUT $1 \$when\" >/dev/console
W
setsid bash /run/watch-$1 >/dev/null 2>&1 </dev/null & echo" >/dev/null || fail "no watcher"
}
power_cut() { # and on again, the same disk
	vm_stop
	vm_start "$base" || fail "QEMU does not start" || return
	wait_for 600 "the guest" guest -t 10 true || fail "no shell: $(tail -c 200 "$S/console.log")"
}
cut_in() { # cut_in MOMENT: a fresh machine up to there; a moment that was missed is tried again
	local try from=fresh
	[[ $1 != load && $1 != install ]] || from=again
	for try in 1 2 3; do
		$from && watch "$1" || return
		wait_for 900 "the moment" grep -aq "CUT $1 " "$S/console.log" || fail "'$1' did not come: edu $(driver_field edu state)" || return
		if grep -aq "CUT $1 in time" "$S/console.log"; then
			[ "$1" != build ] || guest -t 30 "cat $agent_group/farrier-build-*/memory.max" | tr -d '\r\n' >"$S/memory.max"
			power_cut
			return
		fi
		guest -t 60 "echo 0 >$agent_group/cgroup.freeze"
		all_right || return
		: >"$S/console.log"
	done
	fail "'$1' was missed $try times"
}
# Nothing half-done on the disk, what is stored and installed is whole, and all is told as it is.
left="ls -d $state/build/* $state/store/.new-* $state/quarantine/* $state/.[a-z]* $state/*/.[a-z]*.?????? \
	/lib/modules/*/updates/farrier/.* /etc/modprobe.d/.farrier-* /etc/modules-load.d/.farrier-* 2>/dev/null | grep -v '/\\.\\.\\?\$'; true"
whole="cd $state/store && n=0 && for d in ??/*; do for f in \$d/modules/*; do
	grep -q \"\$(sha256sum <\$f | cut -d' ' -f1)\" \$d/manifest.json && n=\$((n + 1)) || { echo \"\$f is damaged\"; exit 1; }; done; done && [ \$n = 1 ] &&
	cmp \$f /lib/modules/$OLD/updates/farrier/edu.ko"
is_clean() { left_over=$(word "$left") && [ -z "$left_over" ]; }
all_right() {
	step_loaded || return
	wait_for 300 "installed for the next boot" guest -t 60 'farrier-driver-builder gate' || fail "held: $(word cat /run/farrier/reboot-hold)" || return
	[ "$(kernel_field $OLD edu state)" = Ready ] || fail "for $OLD: $(kernel_field $OLD edu state)" || return
	[ -z "$(driver_field edu reason)" ] || fail "reason: $(driver_field edu reason)" || return
	wait_for 60 "nothing half-done" is_clean || fail "left over: $left_over" || return
	guest -t 60 "$whole" >"$S/whole.txt" || fail "store: $(tail -1 "$S/whole.txt")" || return
	guest -t 60 "farrier-driver-builder verify /lib/modules/$OLD/updates/farrier/edu.ko --kernel $OLD" >"$S/verify.log" ||
		fail "verify: $(tail -1 "$S/verify.log")" || return
	guest -t 60 'farrier-driver-builder status' >"$S/status.txt" || fail "status: exit status $?" || return
	grep -Eq '^edu +Loaded ' "$S/status.txt" || fail "status: $(grep '^edu' "$S/status.txt")"
}
step_cuts_whole() { # how long it takes when nobody disturbs it: what the random cuts are drawn from
	local s
	s=$(now)
	all_right || return
	road_s=$(since "$s")
}
step_cut_build() { cut_in build && all_right; }
step_cut_store() { cut_in store && all_right; }
step_cut_load() { cut_in load && all_right; }
step_cut_install() { cut_in install && all_right; }
step_cuts_random() {
	local n at r
	RANDOM=${CUTS_SEED:-1}
	for n in $(seq "${CUTS:-2}"); do
		r=$RANDOM # a subshell has other numbers
		at=$(awk -v r=$r -v s="$road_s" 'BEGIN { printf "%.2f", r / 32768 * s }')
		why=""
		fresh || return
		sleep "$at"
		power_cut && all_right || fail "cut $n, after $at s: $why" || return
	done
}
step_cgroup_limit() { # the build that was cut had the limit of its manifest, 2 GiB when it says none
	[ "$(cat "$S/memory.max" 2>/dev/null)" = 2147483648 ] || fail "memory.max of the build: '$(cat "$S/memory.max" 2>/dev/null)'" || return
	guest -t 60 'journalctl -b -u farrier-driver-builder --no-pager' | grep -q 'limited by control groups","version":"2","memory":"yes"' ||
		fail "the agent's log does not say so"
}
step_cgroup_hog() { # a build whose processes together want more than it may have, each of them less
	guest -t 60 "cat >/etc/farrier/drivers.d/hog.yaml <<'Y'
apiVersion: farrier.dev/v1alpha1
kind: AcceleratorDriver
metadata: { name: hog }
spec:
  version: \"1\"
  nodeSelector: { matchLabels: { kubernetes.io/os: linux } }
  source:
    type: Inline
    inline:
      files:
        Makefile: \"all:\\n\\tfor i in 1 2 3; do { head -c 120M /dev/zero | tail -c 120M; sleep 60; } >/dev/null & done; wait; sleep 60\\n\"
  build: { toolchain: Host, system: Make, memory: 200Mi, timeoutSeconds: 600 }
  modules: [ { name: hog } ]
  onUnbuildable: Warn
Y" || fail "manifest" || return
	wait_for 900 "hog ended" is OutOfMemory kernel_field $OLD hog reason ||
		fail "hog: $(kernel_field $OLD hog state) $(kernel_field $OLD hog reason)" || return
	[ "$(driver_field edu state)" = Loaded ] || fail "edu: $(driver_field edu state)" || return
	# Wanted no longer, it is not tried again, and its group is gone.
	guest -t 60 'rm /etc/farrier/drivers.d/hog.yaml'
	wait_for 300 "no build" guest -t 60 "! ls -d $agent_group/farrier-build-*" || fail "its control group is still there"
}
