#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Initramfs of the node: busybox and the in-tree modules that its root disk needs; then switch_root to root=.
# Without root= it serves a root shell on the virtio-serial port "shell" (guest.py), for tests that need only a kernel.
# usage: mkinitramfs.sh OUT KROOT ABI [-m MODULE]... [-f SRC:DEST]...
set -euo pipefail
out=$1 kroot=$2 abi=$3
shift 3
d=$(mktemp -d /tmp/farrier-initramfs.XXXXXX)
trap 'rm -rf "$d"' EXIT
mkdir -p "$d"/{bin,proc,sys,dev,tmp,etc,mnt} "$d/lib/modules/$abi"
cp /bin/busybox "$d/bin/busybox"
ln -s busybox "$d/bin/sh"
: >"$d/etc/modules"
set -- -m virtio_pci -m virtio_console "$@"
while [ $# -gt 0 ]; do
	case $1 in
	-m) modprobe -d "$kroot" -S "$abi" --show-depends "$2" | while read -r kind path _; do
		[ "$kind" = insmod ] || continue
		rel=${path#"$kroot"}
		mkdir -p "$d${rel%/*}"
		cp "$path" "$d$rel"
		case $rel in *.xz) xz -df "$d$rel"; rel=${rel%.xz} ;; esac # 6.12: .ko.xz
		grep -qx "$rel" "$d/etc/modules" || echo "$rel" >>"$d/etc/modules"
	done ;;
	-f) mkdir -p "$(dirname "$d/${2#*:}")"
		cp -L "${2%%:*}" "$d/${2#*:}" ;;
	*) echo "bad argument $1" >&2; exit 2 ;;
	esac
	shift 2
done
cat >"$d/init" <<'INIT'
#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read -r m; do insmod "$m" || echo "insmod $m failed" > /dev/console; done < /etc/modules
echo "MARK initramfs uptime=$(cut -d' ' -f1 /proc/uptime)" > /dev/console
root=$(sed -n 's/.*root=\([^ ]*\).*/\1/p' /proc/cmdline)
if [ -n "$root" ]; then
	i=0
	until [ -b "$root" ] || [ $i -gt 100 ]; do sleep 0.1; i=$((i + 1)); done
	mount -o rw,noatime "$root" /mnt && { umount /proc /sys; mount --move /dev /mnt/dev; exec switch_root /mnt /sbin/init; }
fi
# Names of the ports arrive late; the port stays open here: QEMU drops what is sent to a port the guest has closed.
until port=$(grep -lx shell /sys/class/virtio-ports/*/name 2>/dev/null); do sleep 0.1; done
port=/dev/$(basename "${port%/name}")
exec 3<> "$port"
while :; do sh <&3 >&3 2>&1; sleep 0.1; done
INIT
chmod +x "$d/init"
(cd "$d" && find . | cpio -o -H newc --quiet -R 0:0) | gzip -1 >"$out"
