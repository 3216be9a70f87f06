#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes or changes the tree of files that test/shim/kernel.c shows as a kernel.
#
#   make-tree.sh DIR new RELEASE [ADDRESS=NUMA ...]   a fresh kernel; devices are 1234:11e8 (edu),
#                                                     default: 0000:10:01.0=0 0000:20:01.0=1 0000:00:05.0=-1
#   make-tree.sh DIR reboot [RELEASE]                 nothing loaded, a new boot_id, perhaps another kernel
#   make-tree.sh DIR plug ADDRESS NUMA                a device comes
#   make-tree.sh DIR unplug ADDRESS                   and goes
set -euo pipefail
usage() { sed -n '3,10p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
dir=$1 verb=$2
shift 2
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

plug() { # plug ADDRESS NUMA: ADDRESS 0000:10:01.0 hangs below the root bus pci0000:10
	local address=$1 numa=$2 root dev
	root=pci${address%:*}
	dev=$dir/sys/devices/$root/$address
	[ ! -e "$dev" ] || return 0
	mkdir -p "$dev" "$dir/sys/bus/pci/devices" "$dir/sys/bus/pci/drivers"
	echo 0x1234 >"$dev/vendor"
	echo 0x11e8 >"$dev/device"
	echo 0x1af4 >"$dev/subsystem_vendor"
	echo 0x1100 >"$dev/subsystem_device"
	echo 0x00ff00 >"$dev/class"
	echo 0x10 >"$dev/revision"
	echo 1 >"$dev/enable"
	echo 0 >"$dev/irq"
	echo D0 >"$dev/power_state"
	echo "$numa" >"$dev/numa_node"
	echo pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00 >"$dev/modalias"
	printf 'PCI_CLASS=FF00\nPCI_ID=1234:11E8\nPCI_SUBSYS_ID=1AF4:1100\nPCI_SLOT_NAME=%s\nMODALIAS=%s\n' \
		"$address" "$(cat "$dev/modalias")" >"$dev/uevent"
	printf '\x34\x12\xe8\x11' >"$dev/config"
	head -c 60 /dev/zero >>"$dev/config"
	echo '(null)' >"$dev/driver_override"
	ln -s ../../../bus/pci "$dev/subsystem"
	[ -e "$dir/sys/devices/$root/uevent" ] || : >"$dir/sys/devices/$root/uevent"
	ln -s "../../../devices/$root/$address" "$dir/sys/bus/pci/devices/$address"
}

numa() { # numa NODES: as /sys/devices/system/node shows them, 10 near and 21 far
	local nodes=$1 n m line
	mkdir -p "$dir/sys/devices/system/node"
	echo "0-$((nodes - 1))" | tee "$dir/sys/devices/system/node/online" >"$dir/sys/devices/system/node/possible"
	for ((n = 0; n < nodes; n++)); do
		mkdir -p "$dir/sys/devices/system/node/node$n"
		line=
		for ((m = 0; m < nodes; m++)); do line+=" $((n == m ? 10 : 21))"; done
		echo "${line# }" >"$dir/sys/devices/system/node/node$n/distance"
		echo "$n" >"$dir/sys/devices/system/node/node$n/cpulist"
	done
}

boot() { # boot RELEASE
	mkdir -p "$dir"/{proc/sys/kernel/random,sys/module,sys/class,sys/dev/char,sys/bus/pci/drivers,sys/firmware,dev,fail}
	echo "$1" >"$dir/release"
	echo "$1" >"$dir/proc/sys/kernel/osrelease"
	cat /proc/sys/kernel/random/uuid >"$dir/proc/sys/kernel/random/boot_id"
	: >"$dir/proc/modules"
}

case $verb in
new)
	[ $# -ge 1 ] || usage
	release=$1
	shift
	[ $# -gt 0 ] || set -- 0000:10:01.0=0 0000:20:01.0=1 0000:00:05.0=-1
	boot "$release"
	numa 2
	for d in "$@"; do plug "${d%=*}" "${d#*=}"; done
	;;
reboot)
	for d in "$dir"/sys/bus/pci/devices/*; do
		[ -e "$d" ] || continue
		driver=$(readlink "$d/driver" || true)
		if [ -n "$driver" ]; then rm -rf "$d/driver" "${d:?}/${driver##*/}"; fi
		sed -i '/^DRIVER=/d' "$(readlink -f "$d")/uevent"
	done
	rm -rf "${dir:?}"/{sys/module,sys/class,sys/dev/char,sys/bus/pci/drivers,dev}
	boot "${1:-$(cat "$dir/release")}"
	;;
plug)
	[ $# = 2 ] || usage
	plug "$1" "$2"
	;;
unplug)
	[ $# = 1 ] || usage
	rm -rf "$(readlink -f "$dir/sys/bus/pci/devices/$1")" "$dir/sys/bus/pci/devices/$1"
	rm -f "$dir"/sys/bus/pci/drivers/*/"$1"
	# Class entries whose device is gone, and their nodes.
	for c in "$dir"/sys/class/*/*; do
		if [ -L "$c" ] && [ ! -e "$c" ]; then rm -f "$c" "$dir/dev/${c##*/}"; fi
	done
	;;
*) usage ;;
esac
