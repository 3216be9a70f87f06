#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian's GRUB for the machine without a cluster, kept in the cache: up/ (a layer over BASE with its packages and a first
# grub.cfg), head.img (the first MiB of the disk: boot.img as master boot record, core.img behind it). Prints the folder.
# usage: mkgrub.sh BASE
set -euo pipefail
. "$(dirname "$0")/lib.sh"
base=$1
status=$base/up/var/lib/dpkg/status
rootfs=$(cat "$base/rootfs")
to=$FARRIER_CACHE/alone-grub-$(digest_of "$base" < <(cat "$0" "$alone/grub-head.py"))
exec 9>"$FARRIER_CACHE/alone-grub.lock"
flock 9
if [ -e "$to/.complete" ]; then
	echo "$to"
	exit 0
fi
T=$FARRIER_CACHE/.alone-grub.$$
trap 'rm -rf --one-file-system "$T"' EXIT
mkdir -p "$T"/{work,merged,debs/partial} "$T/out/up"
cmdline="console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable apparmor=0 audit=0 random.trust_cpu=on"
cmdline+=" rcupdate.rcu_expedited=1 cryptomgr.notests nowatchdog preempt=none lsm=capability systemd.show_status=0"

get() { # what is missing on that machine, as its own apt would choose it
	apt-get -qq -o APT::Sandbox::User=root -o Dir::State::status="$status" -o Dir::Cache::archives="$T/debs" \
		--no-install-recommends --download-only -y install grub2-common grub-pc-bin
}
tree() { # in a mount namespace of its own
	local m=$T/merged grub=$T/merged/boot/grub
	mount --make-rprivate /
	mount -t overlay -o "lowerdir=$base/up:$rootfs,upperdir=$T/out/up,workdir=$T/work" overlay "$m"
	mkdir -p "$m/tmp/debs" "$m/usr/local/lib/node" "$grub/i386-pc"
	cp "$T"/debs/*.deb "$m/tmp/debs/"
	chroot "$m" sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i /tmp/debs/*.deb && rm -rf /tmp/debs && ldconfig'
	# The inhibitor needs them.
	rm -f "$m"/etc/systemd/system/{systemd-logind.service,dbus.service,dbus.socket}
	cp "$m"/usr/lib/grub/i386-pc/*.{mod,lst,img} "$grub/i386-pc/"
	chroot "$m" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /tmp/core.img biosdisk part_msdos ext2 normal
	"$PY" "$alone/grub-head.py" "$m/usr/lib/grub/i386-pc/boot.img" "$m/tmp/core.img" "$T/out/head.img"
	rm "$m/tmp/core.img"
	chroot "$m" grub-editenv /boot/grub/grubenv create
	printf '%s\n' 'GRUB_DEFAULT=saved' 'GRUB_TIMEOUT=1' 'GRUB_DISTRIBUTOR=Debian' 'GRUB_TERMINAL=console' \
		'GRUB_DISABLE_LINUX_UUID=true' 'GRUB_DISABLE_OS_PROBER=true' "GRUB_CMDLINE_LINUX=\"$cmdline\"" >"$m/etc/default/grub"
	# A kernel's initramfs is made outside; a hook that runs before GRUB's puts it where GRUB looks.
	cp "$base"/initrd-*.gz "$m/usr/local/lib/node/"
	printf '#!/bin/sh\ncp "/usr/local/lib/node/initrd-$1.gz" "/boot/initrd.img-$1"\n' >"$m/etc/kernel/postinst.d/initrd"
	chmod 755 "$m/etc/kernel/postinst.d/initrd"
	cp "$base/initrd-$OLD.gz" "$m/boot/initrd.img-$OLD"
	# For the first boot only; dpkg of the next kernel runs update-grub.
	cat >"$grub/grub.cfg" <<-C
		set timeout=0
		menuentry 'Debian, with Linux $OLD' {
			linux /boot/vmlinuz-$OLD root=/dev/vda1 $cmdline
			initrd /boot/initrd.img-$OLD
		}
	C
	umount "$m"
}
all() {
	get
	export T base rootfs alone OLD PY cmdline
	unshare --mount --fork bash -euo pipefail -c "$(declare -f tree); tree"
}
progress "GRUB for a machine's disk" all
: >"$T/out/.complete"
rm -rf "$to"
mv -T "$T/out" "$to"
for old in $(ls -dt "$FARRIER_CACHE"/alone-grub-????????????????/ | tail -n +3); do rm -rf --one-file-system "$old"; done
echo "$to"
