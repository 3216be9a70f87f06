#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The standalone agent, whole: real kernels' headers, real builds, on the faked kernel of test/shim. Each check is a
# line "ok NAME" or "not ok NAME"; the last line counts them. Needs root (mount namespaces), leaves nothing behind.
# usage: run.sh [CHECK...]     (default: all, in order; names are the functions called check_* below)
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/lib.sh
if [ -z "${FARRIER_AGENT_NS:-}" ]; then
	root=$(test/node/fetch-kernels.sh)
	[ -x build/farrier-driver-builder ] || { echo "build/farrier-driver-builder is not there, run make first" >&2; exit 3; }
	make -s -C test/shim
	FARRIER_AGENT_NS=$root exec unshare --mount --propagation private "$0" "$@"
fi
ROOT=$FARRIER_AGENT_NS
SHIM=$PWD/build/shim/libkernel.so
BIN=$PWD/build/farrier-driver-builder
OLD=6.1.0-47-amd64 NEW=6.1.0-56-amd64
work=$(mktemp -d /tmp/farrier-agent.XXXXXX)
passed=0 failed=0 skipped=0 agent='' W=''

# ---- helpers ----------------------------------------------------------------------------------------------------
cleanup() {
	umount "$ROOT" 2>/dev/null || true
	umount "$work"/node.*/lower /etc/farrier 2>/dev/null || true
	rmdir /etc/farrier 2>/dev/null || true # when a check has made it
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT

# A fresh node: the kernels' tree with a writable layer over it, an empty state, a faked kernel. With "one" only the
# old kernel is installed: the layer hides the new one.
fresh() {
	stop_agent
	umount "$ROOT" 2>/dev/null || true
	W=$(mktemp -d "$work/node.XXXXXX")
	mkdir -p "$W"/{up/lib/modules,up/boot,up/usr/src,wk,state,run,drivers,lower}
	if [ "${1:-}" = one ]; then
		mknod "$W/up/lib/modules/$NEW" c 0 0
		mknod "$W/up/boot/vmlinuz-$NEW" c 0 0
		mknod "$W/up/usr/src/linux-headers-$NEW" c 0 0
	fi
	mount --bind "$ROOT" "$W/lower"
	mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$W/up,workdir=$W/wk" "$ROOT"
	mkdir -p "$ROOT/usr/src/edu-1.0" "$ROOT/etc"
	cp test/drivers/edu/* "$ROOT/usr/src/edu-1.0/"
	test/shim/make-tree.sh "$W/shim" new "$OLD"
	export FARRIER_SHIM_DIR=$W/shim
}

manifest() { # manifest NAME [KEY: VALUE lines of the spec]: on stdin more of the spec
	cat >"$W/drivers/$1.yaml" <<-END
		apiVersion: farrier.dev/v1alpha1
		kind: AcceleratorDriver
		metadata: { name: $1 }
		spec:
		  version: "${VERSION:-1.0}"
		  devices: [ { bus: PCI, vendor: "1234", device: "${DEVICE:-11e8}" } ]
		  source: { type: Host, host: { path: ${SOURCE:-/usr/src/edu-1.0} } }
		  modules: [ ${MODULES:-{ name: edu \}} ]
		${EXTRA:-}
	END
}
start_agent() { # start_agent [OPTION...]
	LD_PRELOAD=$SHIM "$BIN" run --standalone --root "$ROOT" --state "$W/state" --run "$W/run" --manifests "$W/drivers" \
		"$@" 2>>"$W/log" &
	agent=$!
}
stop_agent() {
	[ -n "$agent" ] || return 0
	kill "${1:--TERM}" "$agent" 2>/dev/null || true
	wait "$agent" 2>/dev/null || true
	agent=
}
cli() { # cli COMMAND [ARG...]
	LD_PRELOAD=$SHIM "$BIN" "$1" --root "$ROOT" --state "$W/state" --run "$W/run" "${@:2}"
}
host_boots() { # what the host does before any agent: modules-load.d
	sed '/^#/d' "$ROOT"/etc/modules-load.d/*.conf | while read -r m; do
		LD_PRELOAD=$SHIM modprobe -d "$ROOT" -S "$(cat "$W/shim/release")" "$m"
	done
}
# The status as a person would ask it: field PATH, a Python expression over s.
status() { $PY -c 'import json, sys
s = json.load(open(sys.argv[1]))
k = {x["release"]: {d["name"]: d for d in x.get("drivers", [])} for x in s.get("kernels", [])}
d = {x["name"]: x for x in s.get("drivers", [])}
print(eval(sys.argv[2]))' "$W/run/status.json" "$1" 2>/dev/null; }
is() { [ "$(status "$1")" = "$2" ]; }
until_is() { WAIT_STEP=0.1 wait_for "${3:-${PATIENCE:-300}}" "$1 = $2 (is '$(status "$1")')" is "$1" "$2"; }
loaded() { until_is "d['edu']['state']" Loaded; }
staged() { until_is "k['$1']['edu']['state']" Ready; }
logged() { grep -q "$1" "$W/log"; }
count() { grep -c "$1" "$W/log" || true; }
expect() { # expect WHAT CMD...
	local what=$1
	shift
	"$@" || { echo "   expected: $what" >&2; return 1; }
}
refute() { ! "$@"; }

# ---- checks -----------------------------------------------------------------------------------------------------
check_build_load_install() {
	fresh && manifest edu && start_agent --metrics "unix:$W/metrics"
	loaded
	staged "$NEW"
	expect "3 of 3 bound" is "d['edu']['bound'], d['edu']['devices']" "(3, 3)"
	expect "running kernel first" test "$(grep -m1 '"build started"' "$W/log" | grep -c "$OLD")" = 1
	expect "device nodes" test -c "$W/shim/dev/edu2"
	expect "installed for the next boot" test -f "$ROOT/lib/modules/$NEW/updates/farrier/edu.ko"
	expect "in modules.dep" grep -q '^updates/farrier/edu.ko' "$ROOT/lib/modules/$NEW/modules.dep"
	expect "in modules-load.d" grep -qx edu "$ROOT/etc/modules-load.d/farrier-edu.conf"
	expect "ready" is "[c['status'] for c in s['conditions'] if c['type'] == 'Ready']" "['True']"
	curl -s --unix-socket "$W/metrics" http://x/metrics >"$W/metrics.txt"
	expect "coverage 1" grep -q '^farrier_staged_kernel_coverage_ratio 1$' "$W/metrics.txt"
	expect "a hardware list" is "s['hardware']" "['pci:1234:11e8']"
	expect "numa nodes" is "[x['numaNode'] for x in s['devices']]" "[-1, 0, 1]"
	cli status >"$W/text" && expect "a text for people" grep -q 'edu *Loaded' "$W/text"
	expect "gate open" cli gate
	stop_agent
}
check_idempotent() { # after the check above: another start does nothing
	start_agent
	loaded
	sleep 1.5
	expect "two builds in all" test "$(count '"build started"')" = 2
	expect "one load in all" test "$(count '"ModuleLoaded"')" = 1
	expect "two installs in all" test "$(count '"ModuleInstalled"')" = 2
	stop_agent
}
check_offline_reboot() { # into the next kernel, its sources, headers and compiler gone
	test/shim/make-tree.sh "$W/shim" reboot "$NEW"
	rm -rf "$ROOT/usr/src/edu-1.0" "$ROOT/usr/src/linux-headers-$NEW"
	: >"$W/log"
	host_boots
	expect "the host's boot loaded it" test -c "$W/shim/dev/edu0"
	start_agent
	loaded
	expect "running is new" is "s['kernel']" "$NEW"
	expect "its version is known" is "d['edu']['loadedVersion']" 1.0
	expect "nothing was built" test "$(count '"build started"')" = 0
	expect "nothing was loaded by us" test "$(count '"ModuleLoaded"')" = 0
	stop_agent
}
check_offline_load() { # the same where the host's boot loads nothing: the agent does, from its store
	test/shim/make-tree.sh "$W/shim" reboot "$NEW"
	: >"$W/log"
	start_agent
	loaded
	expect "nothing was built" test "$(count '"build started"')" = 0
	expect "we loaded it" test "$(count '"ModuleLoaded"')" = 1
	stop_agent
}
check_kernel_arrives() { # while the agent runs, as packages do it: image and modules first, then depmod, then headers
	fresh one
	manifest edu && start_agent
	loaded
	expect "one kernel" is "len(s['kernels'])" 1
	expect "no next" is "s.get('nextKernel', '')" ''
	mkdir -p "$ROOT/lib/modules/$NEW/kernel"
	cp "$W/lower/boot/vmlinuz-$NEW" "$ROOT/boot/"
	until_is "s.get('nextKernel', '')" "$NEW"
	expect "held at once" refute cli gate >/dev/null
	expect "waited for, not failed" is "k['$NEW']['edu']['state'], k['$NEW']['edu']['reason']" "('Pending', 'HeadersMissing')"
	cp "$W/lower/lib/modules/$NEW"/modules.* "$ROOT/lib/modules/$NEW/"
	cp -P "$W/lower/lib/modules/$NEW/build" "$ROOT/lib/modules/$NEW/"
	cp -a "$W/lower/usr/src/linux-headers-$NEW" "$ROOT/usr/src/"
	staged "$NEW"
	expect "released" cli gate
	stop_agent
}
check_headers_missing() {
	fresh
	mv "$ROOT/usr/src/linux-headers-$NEW" "$W/headers"
	manifest edu && start_agent
	loaded
	until_is "k['$NEW']['edu']['reason']" HeadersMissing
	expect "held" refute cli gate >"$W/gate"
	expect "the hold says why" grep -q "$NEW edu HeadersMissing" "$W/run/reboot-hold"
	mv "$W/headers" "$ROOT/usr/src/linux-headers-$NEW"
	staged "$NEW"
	until_is "s['nextKernelState']" Ready
	expect "released" cli gate
	expect "the file is gone" test ! -e "$W/run/reboot-hold"
	stop_agent
}
check_does_not_compile() { # a driver written for the old kernel only
	fresh
	mkdir -p "$ROOT/usr/src/fbar-1.0"
	cp test/drivers/broken-next/* "$ROOT/usr/src/fbar-1.0/"
	manifest edu
	DEVICE=11e9 SOURCE=/usr/src/fbar-1.0 MODULES='{ name: fbar }' manifest fbar
	start_agent
	until_is "k['$NEW']['fbar']['state']" Failed
	loaded
	staged "$NEW"
	expect "the running kernel has it" is "k['$OLD']['fbar']['state']" Ready
	expect "typed" is "k['$NEW']['fbar']['reason']" BuildFailed
	expect "the compiler's own words" is "'too few arguments' in k['$NEW']['fbar']['message']" True
	expect "flat" is "s['nextKernelState'], s['reason']" "('Failed', 'BuildFailed')"
	expect "degraded" is "[c['status'] for c in s['conditions'] if c['type'] == 'Degraded']" "['True']"
	expect "held" refute cli gate >/dev/null
	sleep 1.5
	expect "not tried again and again" test "$(count '"BuildFailed"')" = 1
	stop_agent && start_agent && sleep 2
	expect "nor by a new start" test "$(count '"BuildFailed"')" = 1
	# Somebody mends the source: no back-off is waited for.
	sed -i 's/__fls(sizes))/__fls(sizes), 0)/' "$ROOT/usr/src/fbar-1.0/fbar.c"
	kill -HUP "$agent"
	until_is "k['$NEW']['fbar']['state']" Ready
	stop_agent
}
check_bad_yaml() {
	fresh one
	manifest edu
	start_agent && loaded
	printf 'apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: x }\nspec:\n  versoin: "1"\n' >"$W/drivers/bad.yaml"
	until_is "s.get('reason')" ManifestInvalid
	expect "file, line and field" is "'bad.yaml' in s['message'] and 'line 5' in s['message'] and 'versoin' in s['message']" True
	expect "the other is untouched" is "d['edu']['state']" Loaded
	rm "$W/drivers/bad.yaml"
	until_is "s.get('reason', '')" ''
	# A file that goes bad: its last good version stays.
	echo '  bogus: 1' >>"$W/drivers/edu.yaml"
	until_is "s.get('reason')" ManifestInvalid
	expect "last good version" is "d['edu']['state']" Loaded
	printf '{{{{' >"$W/drivers/edu.yaml"
	sleep 1.5
	expect "also when it is no YAML" is "d['edu']['state']" Loaded
	stop_agent
}
check_removed_manifest() { # nobody wants it any more: it stays as it is
	fresh one
	manifest edu && start_agent && loaded
	rm "$W/drivers/edu.yaml"
	until_is "s.get('driversDesired', 0)" 0
	expect "still loaded" test -e "$W/shim/sys/module/edu/initstate"
	expect "still installed" test -f "$ROOT/lib/modules/$OLD/updates/farrier/edu.ko"
	stop_agent
}
check_deleted_in_build() {
	fresh one
	manifest edu && start_agent
	wait_for 120 "a build" logged '"build started"'
	rm "$W/drivers/edu.yaml"
	wait_for 120 "its end" logged '"build cancelled"'
	expect "no left-overs" test -z "$(find "$W/state/build" -mindepth 1 2>/dev/null | head -1)"
	expect "nothing loaded" test ! -e "$W/shim/sys/module/edu"
	stop_agent
}
check_killed_in_build() {
	fresh one
	manifest edu && start_agent
	wait_for 120 "a build" logged '"build started"'
	sleep 0.7
	stop_agent -KILL
	start_agent
	loaded
	stop_agent
}
check_killed_anywhere() { # at moments spread over the whole road; whatever is left, the next start ends well
	fresh one && manifest edu
	local t
	for t in 0.05 0.3 1.2 2.2 2.8 3.1 3.4; do
		start_agent
		sleep "$t"
		stop_agent -KILL
	done
	start_agent
	loaded
	staged "$OLD"
	stop_agent
}
built_twice() { [ "$(count BuildSucceeded)" = 2 ]; }
check_corrupt_artifact() {
	fresh one
	manifest edu && start_agent && loaded && staged "$OLD"
	stop_agent
	test/shim/make-tree.sh "$W/shim" reboot
	truncate -s 5000 "$(find "$W/state/store" -name edu.ko)"
	start_agent
	wait_for "${PATIENCE:-300}" "it is built once more" built_twice # the status is still that of before
	loaded
	expect "built once more" test "$(count '"build started"')" = 2
	expect "the bad one is kept aside" test -n "$(ls "$W/state/quarantine")"
	stop_agent
}
check_other_build() { # a new version is staged and not loaded over a running one
	fresh one
	manifest edu && start_agent && loaded
	cp -r "$ROOT/usr/src/edu-1.0" "$ROOT/usr/src/edu-2.0"
	echo '/* 2.0 */' >>"$ROOT/usr/src/edu-2.0/edu.c"
	VERSION=2.0 SOURCE=/usr/src/edu-2.0 manifest edu
	until_is "d['edu']['state']" UpgradeRequired
	expect "both versions are told" is "d['edu']['version'], d['edu']['loadedVersion']" "('2.0', '1.0')"
	sleep 1
	expect "one load so far" test "$(count '"ModuleLoaded"')" = 1
	cli load edu --manifests "$W/drivers" >/dev/null
	kill -HUP "$agent"
	loaded
	expect "the new one" is "d['edu']['loadedVersion']" 2.0
	stop_agent
}
check_parameters() { # other parameters for a module that is loaded: said, and done on intent
	fresh one
	MODULES='{ name: edu, parameters: { irq_mode: msi } }' manifest edu && start_agent && loaded
	staged "$OLD"
	MODULES='{ name: edu, parameters: { irq_mode: intx } }' manifest edu
	until_is "d['edu']['state']" UpgradeRequired
	expect "why" is "'parameters' in d['edu']['message']" True
	expect "not touched" grep -qx msi "$W/shim/sys/module/edu/parameters/irq_mode"
	cli load edu --manifests "$W/drivers" >/dev/null
	loaded
	expect "given" grep -qx intx "$W/shim/sys/module/edu/parameters/irq_mode"
	until_is "d['edu']['reason']" ''
	# The host's boot loads it as it is configured; a change while no agent runs is seen by the next one.
	wait_for "${PATIENCE:-300}" "the boot's own options" grep -qx 'options edu irq_mode=intx' "$ROOT/etc/modprobe.d/farrier-edu.conf"
	stop_agent
	test/shim/make-tree.sh "$W/shim" reboot "$OLD"
	host_boots
	MODULES='{ name: edu, parameters: { irq_mode: msi } }' manifest edu && start_agent
	until_is "d['edu']['state']" UpgradeRequired
	stop_agent
}
check_lost_records() { # the store is enough, with or without what it was built from
	fresh one
	manifest edu && start_agent && loaded && staged "$OLD"
	stop_agent -KILL
	LD_PRELOAD=$SHIM rmmod edu
	rm "$W/state/builds.json" "$W/state/loaded.json"
	start_agent && loaded && staged "$OLD"
	expect "nothing was compiled" logged "taken from the store"
	stop_agent -KILL
	LD_PRELOAD=$SHIM rmmod edu
	echo '{ "version": 1, "builds": [ { "driver"' >"$W/state/builds.json"
	rm -rf "$ROOT/usr/src/edu-1.0" "$ROOT/usr/src/linux-headers-$OLD"
	: >"$W/log"
	start_agent && loaded
	expect "nothing was built" test "$(count '"build started"')" = 0
	expect "the store is whole" test "$(find "$W/state/store" -name edu.ko | wc -l)" = 1
	# What no record names leaves the store, but for what is of a driver that nobody speaks of.
	local key dir
	key=$(find "$W/state/store" -name edu.ko | sed 's|.*/\([0-9a-f]*\)/modules/.*|\1|')
	dir=$W/state/store/${key::2}
	for n in 0 1; do
		mkdir -p "$W/state/store/0$n"
		cp -r "$dir/$key" "$W/state/store/0$n/0$n${key:2}"
		sed -i "s/$key/0$n${key:2}/; s/\"createdAt\": \"20../\"createdAt\": \"1999/; s/\"driver\": \"edu\"/\"driver\": \"$([ $n = 0 ] && echo edu || echo other)\"/" "$W/state/store/0$n/0$n${key:2}/manifest.json"
	done
	stop_agent -KILL
	rm "$W/state/builds.json"
	start_agent && loaded
	wait_for 60 "the store is cleaned" refute test -e "$W/state/store/00/00${key:2}"
	expect "another driver's stays" test -e "$W/state/store/01/01${key:2}"
	expect "its own stays" test -e "$dir/$key"
	stop_agent
}
check_rollback() { # a build that loads and drives nothing: back to the one before
	fresh one
	manifest edu && start_agent && loaded && staged "$OLD"
	local boots="$ROOT/lib/modules/$OLD/updates/farrier/edu.ko"
	cp "$boots" "$W/old.ko"
	cp -r "$ROOT/usr/src/edu-1.0" "$ROOT/usr/src/edu-2.0"
	sed -i 's/0x11e8/0x1eee/' "$ROOT/usr/src/edu-2.0/edu.c"
	VERSION=2.0 SOURCE=/usr/src/edu-2.0 manifest edu
	until_is "d['edu']['state']" UpgradeRequired
	wait_for 60 "the new one is installed" refute cmp -s "$boots" "$W/old.ko"
	local rc=0
	cli load edu --manifests "$W/drivers" 2>"$W/err" || rc=$?
	expect "status 1" test $rc = 1
	expect "typed" grep -q DriverNotBound "$W/err"
	expect "said" grep -q 'loaded again' "$W/err"
	expect "its devices are bound again" test -e "$W/shim/sys/bus/pci/drivers/edu/0000:10:01.0"
	kill -HUP "$agent"
	until_is "d['edu']['state'], d['edu']['loadedVersion'], d['edu']['bound']" "('UpgradeRequired', '1.0', 3)"
	wait_for 60 "the host boots what worked" cmp -s "$boots" "$W/old.ko"
	stop_agent
	start_agent
	until_is "d['edu']['state'], d['edu']['loadedVersion']" "('UpgradeRequired', '1.0')"
	expect "another start knows it too" cmp -s "$boots" "$W/old.ko"
	stop_agent
}
check_no_folder() { # the running kernel's modules were removed
	fresh one
	rm -rf "${ROOT:?}/lib/modules/$OLD"
	manifest edu && start_agent
	until_is "d['edu']['reason']" HeadersMissing
	expect "which folder" is "'/lib/modules/$OLD' in d['edu']['message']" True
	expect "nothing is made there" test ! -e "$ROOT/lib/modules/$OLD"
	stop_agent
}
grub_host() { # a host with GRUB and systemd, as far as the agent looks: a shell plays their programs
	local f
	for f in /bin/sh /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6; do
		mkdir -p "$ROOT/${f%/*}" && cp -L "$f" "$ROOT$f"
	done
	mkdir -p "$ROOT/boot/grub" "$ROOT/usr/bin" "$ROOT/run/systemd/system"
	cat >"$ROOT/usr/bin/grub-editenv" <<-'END'
		#!/bin/sh
		key=${3%%=*} new=
		while read -r l; do case $l in "$key="* | '#'*) ;; *) new="$new$l
		" ;; esac; done <"$1"
		[ "$2" = unset ] || new="$new$3
		"
		printf '# GRUB Environment Block\n%s' "$new" >"$1"
	END
	printf '#!/bin/sh\necho "$*" >/inhibited\nread -r x\n' >"$ROOT/usr/bin/systemd-inhibit"
	chmod 755 "$ROOT/usr/bin/grub-editenv" "$ROOT/usr/bin/systemd-inhibit"
	{
		echo 'load_env'
		echo 'set default="${saved_entry}"'
		echo "submenu 'Advanced' \$menuentry_id_option 'adv' {"
		for f in "$NEW" "$OLD"; do
			printf "menuentry 'Linux %s' \$menuentry_id_option 'id-%s' {\n\tlinux /boot/vmlinuz-%s ro\n}\n" "$f" "$f" "$f"
		done
		echo '}'
	} >"$ROOT/boot/grub/grub.cfg"
	printf '# GRUB Environment Block\nsaved_entry=0\n' >"$ROOT/boot/grub/grubenv"
}
check_keep_last_good() { # the kernel that works stays the default until the other one works too
	fresh
	grub_host
	mkdir -p "$ROOT/usr/src/fbar-1.0"
	cp test/drivers/broken-next/* "$ROOT/usr/src/fbar-1.0/"
	DEVICE=11e9 SOURCE=/usr/src/fbar-1.0 MODULES='{ name: fbar }' EXTRA='  onUnbuildable: KeepLastGood' manifest fbar
	start_agent
	until_is "k['$NEW']['fbar']['state']" Failed
	WAIT_STEP=0.1 wait_for "${PATIENCE:-300}" "GRUB's default" grep -qx "saved_entry=adv>id-$OLD" "$ROOT/boot/grub/grubenv"
	WAIT_STEP=0.1 wait_for "${PATIENCE:-300}" "the hold says it" grep -q "^$OLD - Kept " "$W/run/reboot-hold"
	expect "held all the same" refute cli gate >/dev/null
	WAIT_STEP=0.1 wait_for "${PATIENCE:-300}" "systemd's lock" grep -q 'what=shutdown' "$ROOT/inhibited"
	# Killed and started again: still kept, and what was there before is not forgotten.
	stop_agent -KILL && start_agent
	sed -i 's/__fls(sizes))/__fls(sizes), 0)/' "$ROOT/usr/src/fbar-1.0/fbar.c"
	until_is "k['$NEW']['fbar']['state']" Ready
	WAIT_STEP=0.1 wait_for "${PATIENCE:-300}" "the choice of before" grep -qx 'saved_entry=0' "$ROOT/boot/grub/grubenv"
	expect "nothing is remembered" test ! -e "$W/state/grub.json"
	wait_for "${PATIENCE:-300}" "the gate" cli gate
	stop_agent
	# Without GRUB the reboot is held, and that is said.
	fresh
	mkdir -p "$ROOT/usr/src/fbar-1.0"
	cp test/drivers/broken-next/* "$ROOT/usr/src/fbar-1.0/"
	DEVICE=11e9 SOURCE=/usr/src/fbar-1.0 MODULES='{ name: fbar }' EXTRA='  onUnbuildable: KeepLastGood' manifest fbar
	start_agent
	until_is "k['$NEW']['fbar']['state']" Failed
	WAIT_STEP=0.1 wait_for "${PATIENCE:-300}" "the hold says it" grep -q "^$OLD - NotKept the host has no GRUB" "$W/run/reboot-hold"
	stop_agent
}
check_in_use() {
	fresh one
	EXTRA='  paused: true' manifest edu
	start_agent
	sleep 0.5
	expect "paused: nothing is built" test "$(count '"build started"')" = 0
	manifest edu && loaded
	EXTRA='  paused: true' manifest edu
	tail -f "$W/shim/dev/edu0" >/dev/null 2>&1 &
	local holder=$! rc=0
	sleep 0.3
	cli unload edu --manifests "$W/drivers" 2>"$W/err" || rc=$?
	kill $holder
	wait $holder 2>/dev/null || true
	expect "status 1" test $rc = 1
	expect "typed" grep -q ModuleInUse "$W/err"
	expect "by name" grep -q "tail (pid $holder)" "$W/err"
	cli unload edu --manifests "$W/drivers" >/dev/null
	expect "unloaded" test ! -e "$W/shim/sys/module/edu"
	sleep 1
	expect "a paused driver is not loaded again" test ! -e "$W/shim/sys/module/edu"
	stop_agent
}
# ---- signatures ----
asked() { status "k['$1']['edu']['message']" | grep -oE '[^ ]+\.ko [0-9a-f]{64}'; } # asked KERNEL: lines "FILE SHA256"
sign_outside() { # sign_outside NAME: what somebody outside does with such lines; the key is made on the way
	local file sum ko to=$ROOT/etc/farrier/signatures
	[ -f "$W/$1.key" ] || openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=$1" -days 2 -keyout "$W/$1.key" -out "$W/$1.pem" 2>/dev/null
	mkdir -p "$to"
	while read -r file sum; do
		ko=$(find "$W/state/store" -path "*/modules/$file" -exec sha256sum {} + | sed -n "s/^$sum  //p" | head -n 1)
		openssl cms -sign -binary -noattr -nosmimecap -nocerts -outform DER -md sha256 -signer "$W/$1.pem" \
			-inkey "$W/$1.key" -in "$ko" -out "$W/p7s"
		mv "$W/p7s" "$to/$sum.p7s"
	done
	kill -HUP "$agent"
}
signed_by() { # signed_by NAME FILE
	cli verify "$2" --kernel "$OLD" --json | $PY -c 'import json, sys; sys.exit(not json.load(sys.stdin)[0]["signer"].startswith(sys.argv[1] + ", "))' "$1"
}
check_signed_outside() { # built, held back, signed by somebody else, loaded; then another signature
	fresh
	EXTRA='  signing: { mode: External }' manifest edu
	start_agent
	until_is "k['$OLD']['edu']['reason'], k['$NEW']['edu']['reason']" "('AwaitingSignature', 'AwaitingSignature')"
	expect "no failure" is "d['edu']['state'], k['$NEW']['edu']['state'], s['nextKernelState']" "('Pending', 'Pending', 'Building')"
	expect "said where people look" is "s['reason'], [c['reason'] for c in s['conditions'] if c['type'] == 'Ready']" "('AwaitingSignature', ['AwaitingSignature'])"
	expect "held" refute cli gate >"$W/gate"
	expect "the hold says why" grep -q "$NEW edu AwaitingSignature" "$W/run/reboot-hold"
	expect "people are told as well" test "$(cli status | grep -c 'AwaitingSignature: built, waits for 1 of 1')" -ge 2
	expect "preflight too" refute cli preflight --kernel "$NEW" --manifests "$W/drivers" >"$W/text"
	expect "with its reason" grep -q AwaitingSignature "$W/text"
	local rc=0
	cli load edu --manifests "$W/drivers" 2>"$W/err" || rc=$?
	expect "nor by hand" test $rc = 1 -a "$(grep -c AwaitingSignature "$W/err")" -ge 1
	# Killed and started again: still waiting, nothing is compiled twice.
	stop_agent -KILL && start_agent
	until_is "k['$OLD']['edu']['reason'], k['$NEW']['edu']['reason']" "('AwaitingSignature', 'AwaitingSignature')"
	expect "not loaded" test ! -e "$W/shim/sys/module/edu"
	expect "not installed" test ! -e "$ROOT/lib/modules/$NEW/updates/farrier/edu.ko"
	# A signature that is none.
	mkdir -p "$ROOT/etc/farrier/signatures"
	local sum
	sum=$(asked "$OLD" | cut -d' ' -f2)
	echo none >"$ROOT/etc/farrier/signatures/$sum.p7s"
	kill -HUP "$agent"
	until_is "k['$OLD']['edu']['reason']" KeyRejected
	expect "by its file" is "'$sum.p7s' in k['$OLD']['edu']['message']" True
	rm "$ROOT/etc/farrier/signatures/$sum.p7s"
	kill -HUP "$agent"
	until_is "k['$OLD']['edu']['reason']" AwaitingSignature
	{ asked "$OLD" && asked "$NEW"; } >"$W/asked"
	expect "two files to sign" test "$(wc -l <"$W/asked")" = 2
	sign_outside first <"$W/asked"
	loaded
	staged "$OLD"
	staged "$NEW"
	local ko=$ROOT/lib/modules/$OLD/updates/farrier/edu.ko
	wait_for "${PATIENCE:-300}" "released" cli gate
	expect "signed by them" signed_by first "$ko"
	expect "two builds in all" test "$(count '"build started"')" = 2
	# The signatures go, the agent is killed and its records are lost: what is signed stays signed.
	rm -r "$ROOT/etc/farrier/signatures"
	stop_agent -KILL
	rm "$W/state/builds.json"
	start_agent
	wait_for "${PATIENCE:-300}" "the store is asked" grep -q signedKey "$W/state/builds.json"
	loaded
	staged "$NEW"
	expect "nothing was compiled" test "$(count 'built in')" = 2
	# Another key signs: staged at once, loaded by intent.
	sign_outside second <"$W/asked"
	until_is "d['edu']['state']" UpgradeRequired
	wait_for "${PATIENCE:-300}" "the new signature is installed" signed_by second "$ko"
	expect "one load so far" test "$(count '"ModuleLoaded"')" = 1
	cli load edu --manifests "$W/drivers" >/dev/null
	kill -HUP "$agent"
	loaded
	expect "nothing was compiled" test "$(count 'built in')" = 2
	stop_agent
}
check_signed_inside() { # by a Secret that comes late, and is another one in the end
	local ko=$ROOT/lib/modules/$OLD/updates/farrier/edu.ko keys=/etc/farrier/signing/fleet n
	fresh one
	mkdir -p /etc/farrier # of this namespace's machine, as the agent sees it
	mount -t tmpfs tmpfs /etc/farrier
	EXTRA='  signing: { mode: Secret, secretRef: fleet }' manifest edu
	start_agent
	until_is "k['$OLD']['edu']['reason']" KeyRejected
	for n in first second; do
		mkdir -p "$keys"
		openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=$n" -days 2 -keyout "$keys/.key" -out "$keys/.crt" 2>/dev/null
		mv "$keys/.key" "$keys/tls.key"
		mv "$keys/.crt" "$keys/tls.crt"
		kill -HUP "$agent" # instead of its next poll
		wait_for "${PATIENCE:-300}" "signed by the $n key and installed" signed_by $n "$ko"
		[ $n = second ] || loaded
	done
	until_is "d['edu']['state']" UpgradeRequired
	expect "one load so far" test "$(count '"ModuleLoaded"')" = 1
	cli load edu --manifests "$W/drivers" >/dev/null
	kill -HUP "$agent"
	loaded
	n=$(count 'built in')
	touch "$keys/tls.crt"
	kill -HUP "$agent"
	sleep 2
	expect "the same certificate is no news" test "$(count 'built in')" = "$n"
	stop_agent
	umount /etc/farrier
	rmdir /etc/farrier 2>/dev/null || true
}
check_load_refused() { # the kernel has the last word
	fresh one
	echo 129 >"$W/shim/fail/edu" # EKEYREJECTED
	manifest edu && start_agent
	until_is "d['edu']['state']" Failed
	expect "typed" is "d['edu']['reason']" KeyRejected
	rm "$W/shim/fail/edu"
	loaded # after its back-off, unaided
	stop_agent
}
check_rival() {
	fresh one
	# An in-tree driver that has the devices: the same module under another name.
	cp -r "$ROOT/usr/src/edu-1.0" "$ROOT/usr/src/rival-1.0"
	mv "$ROOT/usr/src/rival-1.0/edu.c" "$ROOT/usr/src/rival-1.0/rival.c"
	echo 'obj-m := rival.o' >"$ROOT/usr/src/rival-1.0/Kbuild"
	rm -f "$ROOT/usr/src/rival-1.0/dkms.conf" "$ROOT/usr/src/rival-1.0/Makefile"
	cli build --source "$ROOT/usr/src/rival-1.0" --kernel "$OLD" --out "$W/out" >/dev/null
	LD_PRELOAD=$SHIM insmod "$W/out/rival.ko"
	expect "the rival has them" test -e "$W/shim/sys/bus/pci/drivers/rival/0000:10:01.0"
	MODULES='{ name: edu, parameters: { irq_mode: msi }, replaces: [ rival ] }' manifest edu
	start_agent
	loaded
	staged "$OLD"
	expect "the rival is out" test ! -e "$W/shim/sys/module/rival"
	expect "and stays out" grep -qx 'blacklist rival' "$ROOT/etc/modprobe.d/farrier-edu.conf"
	expect "parameters" grep -qx 'options edu irq_mode=msi' "$ROOT/etc/modprobe.d/farrier-edu.conf"
	expect "were given" grep -qx msi "$W/shim/sys/module/edu/parameters/irq_mode"
	stop_agent
}
check_no_device() {
	fresh one
	DEVICE=ffff manifest edu && start_agent
	until_is "d['edu']['reason']" DeviceAbsent
	expect "built all the same" is "d['edu']['state']" Built
	expect "not loaded" test ! -e "$W/shim/sys/module/edu"
	stop_agent
}
check_commands() {
	fresh
	local rc=0
	cli build --source "$ROOT/usr/src/edu-1.0" --kernel "$OLD" --out "$W/out" --json >"$W/build.json"
	expect "a key" $PY -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["key"]) == 64' "$W/build.json"
	cli verify "$W/out/edu.ko" --kernel "$OLD" >"$W/verify"
	expect "proved" grep -q 'symbols proved' "$W/verify"
	cli verify "$W/out/edu.ko" --kernel "$NEW" 2>"$W/err" || rc=$?
	expect "refused for the other kernel" test $rc = 1
	expect "by its symbols" grep -q SymbolCRCMismatch "$W/err"
	rc=0 && cli verify "$W/out/edu.ko" 2>/dev/null || rc=$?
	expect "usage" test $rc = 2
	rc=0 && cli nonsense >/dev/null 2>&1 || rc=$?
	expect "usage" test $rc = 2
	rc=0 && cli status 2>/dev/null || rc=$?
	expect "no status yet" test $rc = 1
}
check_plugin_service() {
	fresh
	mkdir -p "$W/bundle/lib"
	echo program >"$W/bundle/farrier-device-plugin" && chmod 755 "$W/bundle/farrier-device-plugin"
	echo loader >"$W/bundle/ld.so" && echo lib >"$W/bundle/lib/libx.so"
	cli install-plugin --from "$W/bundle" >/dev/null
	local unit=$ROOT/etc/systemd/system/farrier-device-plugin.service
	expect "the unit runs the bundle's own loader" grep -q '^ExecStart=/var/lib/farrier/plugin-bundle/ld.so ' "$unit"
	expect "enabled" test -L "$ROOT/etc/systemd/system/multi-user.target.wants/farrier-device-plugin.service"
	expect "the program is there" grep -q program "$ROOT/var/lib/farrier/plugin-bundle/farrier-device-plugin"
	local first
	first=$(readlink "$ROOT/var/lib/farrier/plugin-bundle")
	cli install-plugin --from "$W/bundle" >/dev/null
	expect "again changes nothing" test "$(readlink "$ROOT/var/lib/farrier/plugin-bundle")" = "$first"
	echo newer >"$W/bundle/farrier-device-plugin"
	cli install-plugin --from "$W/bundle" >/dev/null
	expect "an upgrade switches" grep -q newer "$ROOT/var/lib/farrier/plugin-bundle/farrier-device-plugin"
	cli remove-plugin >/dev/null
	expect "nothing is left" test ! -e "$unit" -a ! -e "$ROOT/var/lib/farrier/plugin-bundle/farrier-device-plugin"
}
# ---- with an API server (a faked one: the real one is in test/cluster) ----
api_start() {
	$PY test/agent/fakeapi.py "$W/api" "$PORT" 2>/dev/null &
	api=$!
	wait_for 10 "the API" curl -s -o /dev/null "http://127.0.0.1:$PORT/"
}
api_stop() {
	kill "$api"
	wait "$api" 2>/dev/null || true
}
node_object() { # node_object GENERATION VERSION PROCEED [MORE OF THE DRIVER]
	cat >"$W/api/node.tmp" <<-END
		{ "apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorNode",
		  "metadata": { "name": "n1", "uid": "11111111-2222-3333-4444-555555555555", "generation": $1 },
		  "spec": {
		    "drivers": [ { "name": "edu", "generation": $1, "proceedGeneration": $3, ${4:-} "spec": {
		      "version": "$2", "devices": [ { "bus": "PCI", "vendor": "1234", "device": "11e8" } ],
		      "source": { "type": "Host", "host": { "path": "/usr/src/edu-$2" } }, "modules": [ { "name": "edu" } ] } } ],
		    "classes": [ { "name": "edu", "spec": { "match": [ { "bus": "PCI", "vendor": "1234" } ], "resourceName": "farrier.dev/edu" } } ] } }
	END
	mv "$W/api/node.tmp" "$W/api/node.json"
}
start_cluster_agent() {
	cat >"$W/kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		current-context: x
		contexts: [ { name: x, context: { cluster: x, user: x } } ]
		clusters: [ { name: x, cluster: { server: "http://127.0.0.1:$PORT" } } ]
		users: [ { name: x, user: {} } ]
	END
	LD_PRELOAD=$SHIM "$BIN" run --root "$ROOT" --state "$W/state" --run "$W/run" --node-name n1 \
		--kubeconfig "$W/kubeconfig" 2>>"$W/log" &
	agent=$!
}
api_is() { [ "$($PY -c 'import json, sys
s = json.load(open(sys.argv[1])); d = {x["name"]: x for x in s.get("drivers", [])}
print(eval(sys.argv[2]))' "$W/api/status.json" "$1" 2>/dev/null)" = "$2" ]; }
until_api() { WAIT_STEP=0.1 wait_for "${PATIENCE:-300}" "status at the API: $1 = $2" api_is "$1" "$2"; }
check_cluster() {
	fresh one
	PORT=$((20000 + RANDOM % 20000))
	mkdir -p "$W/api"
	start_cluster_agent # before there is any API
	sleep 1
	expect "alive, with a status" test -s "$W/run/status.json"
	node_object 3 1.0 0
	api_start
	until_api "d['edu']['state']" Loaded
	expect "generation" is "d['edu']['generation']" 3
	expect "kept on disk" test -s "$W/state/desired.json" -a -s "$W/state/classes/edu.json"
	wait_for 10 "Events" grep -q ModuleLoaded "$W/api/events.jsonl"
	expect "and of the build" grep -q BuildSucceeded "$W/api/events.jsonl"
	# A new generation is built, staged, and waits for permission.
	cp -r "$ROOT/usr/src/edu-1.0" "$ROOT/usr/src/edu-2.0"
	echo '/* 2.0 */' >>"$ROOT/usr/src/edu-2.0/edu.c"
	node_object 4 2.0 0
	until_api "d['edu']['state'], d['edu']['generation']" "('UpgradeRequired', 4)"
	# The API goes away, the agent is killed; it works on from its disk.
	api_stop
	stop_agent -KILL
	start_cluster_agent
	until_is "d['edu']['state']" UpgradeRequired
	sleep 1
	expect "no permission, no replacement" is "d['edu']['loadedVersion']" 1.0
	node_object 4 2.0 4
	api_start
	until_api "d['edu']['state'], d['edu']['loadedVersion']" "('Loaded', '2.0')"
	# Nothing changes: nothing is written.
	sleep 1.5
	local n
	n=$(grep -c PATCH "$W/api/requests.log")
	sleep 3
	expect "quiet at rest" test "$(grep -c PATCH "$W/api/requests.log")" = "$n"
	# The object vanishes: no intent.
	rm "$W/api/node.json"
	sleep 1.5
	expect "still loaded" test -e "$W/shim/sys/module/edu/initstate"
	node_object 5 2.0 4 '"unload": true,'
	until_api "d['edu']['state']" Unloaded
	expect "unloaded on intent" test ! -e "$W/shim/sys/module/edu"
	expect "and not installed" test ! -e "$ROOT/lib/modules/$OLD/updates/farrier/edu.ko"
	expect "nor listed" test ! -e "$ROOT/etc/modules-load.d/farrier-edu.conf"
	expect "nothing else was asked for" test -z "$(grep -vE '^(GET .*fieldSelector=metadata.name(=|%3D)n1|PATCH .*/acceleratornodes/n1/status|POST .*/events)' "$W/api/requests.log" | grep -v 'GET /$')"
	stop_agent
	api_stop
}
check_notify() {
	fresh one
	$PY - "$W/notify" >"$W/notified" <<-'END' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(120)
		seen = set()
		while not {"READY=1", "WATCHDOG=1"} <= seen:
		    seen.add(s.recv(4096).decode())
		print("all")
	END
	local listener=$!
	wait_for 5 "the socket" test -S "$W/notify"
	NOTIFY_SOCKET=$W/notify WATCHDOG_USEC=400000 start_agent
	wait $listener
	expect "ready, and alive" grep -qx all "$W/notified"
	stop_agent
}

# ---- all of them ------------------------------------------------------------------------------------------------
[ $# -gt 0 ] || set -- build_load_install idempotent offline_reboot offline_load kernel_arrives headers_missing \
	does_not_compile bad_yaml removed_manifest deleted_in_build killed_in_build killed_anywhere corrupt_artifact \
	other_build parameters lost_records rollback no_folder keep_last_good in_use signed_outside signed_inside load_refused rival no_device commands plugin_service cluster notify
for name; do
	t0=$EPOCHREALTIME rc=0
	set +e
	(
		set -e
		trap 'stop_agent -KILL; umount "$W/lower" 2>/dev/null || true' EXIT
		"check_$name"
		echo "$W" >"$work/last"
	) >"$work/out" 2>&1
	rc=$?
	set -e
	if [ $rc = 0 ]; then
		W=$(cat "$work/last") # some checks go on where the one before ended
		export FARRIER_SHIM_DIR=$W/shim
		passed=$((passed + 1))
		echo "ok $name ($(since "$t0") s)"
	else
		failed=$((failed + 1))
		echo "not ok $name ($(since "$t0") s)"
		sed 's/^/   /' "$work/out"
		tail -n 15 "$(ls -td "$work"/node.* | head -1)/log" 2>/dev/null | cut -c1-400 | sed 's/^/   | /'
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
