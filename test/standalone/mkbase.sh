#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the machine's disk is made from, kept in the cache: up/ (a layer over the Debian tree: systemd as the guest needs
# it, kernel 6.1.0-47 and its headers installed by dpkg), next/ (the next kernel and its headers, unpacked), debs.img (the
# same as packages, with the headers that a small driver needs), vmlinux-ABI, initrd-ABI.gz, rootfs (its path). No Kubernetes. Prints the folder.
# usage: mkbase.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
node=$SRC/test/node
KROOT=$("$node/fetch-kernels.sh" $OLD $NEW)
rootfs=$("$node/mkrootfs.sh")
debs=$("$node/mkdebs.sh" $OLD $NEW)
to=$FARRIER_CACHE/alone-$(digest_of "$rootfs" "$debs" < <(cat "$0" "$node/mkinitramfs.sh" "$node/edutest.c" "$node"/guest/{boot-next,shell} \
	"$node"/guest/etc/systemd/system/{host-shell,boot-mark}.service "$alone"/guest/*))
exec 9>"$FARRIER_CACHE/alone.lock"
flock 9
if [ -e "$to/.complete" ]; then
	echo "$to"
	exit 0
fi
T=$FARRIER_CACHE/.alone.$$
trap 'rm -rf --one-file-system "$T"' EXIT
mkdir -p "$T"/{work,merged} "$T"/out/{up,next}

tree() { # in a mount namespace of its own
	local m=$T/merged u
	mount --make-rprivate /
	mount -t overlay -o "lowerdir=$rootfs,upperdir=$T/out/up,workdir=$T/work" overlay "$m"
	rm -f "$m/.complete"
	install -m 644 -t "$m/etc/systemd/system/" "$node"/guest/etc/systemd/system/{host-shell,boot-mark}.service "$alone"/guest/*.service
	install -D -m 755 "$node/guest/boot-next" "$m/usr/lib/systemd/system-shutdown/boot-next"
	install -D -m 755 -t "$m/usr/local/lib/node/" "$node/guest/shell"
	gcc -static -O2 -o "$m/usr/local/bin/edutest" "$node/edutest.c"
	echo alone >"$m/etc/hostname"
	printf '127.0.0.1 localhost\n' >"$m/etc/hosts"
	: >"$m/etc/resolv.conf"
	: >"$m/etc/fstab"
	echo "do_symlinks = yes" >"$m/etc/kernel-img.conf"
	printf 'force-unsafe-io\n' >"$m/etc/dpkg/dpkg.cfg.d/test" # as fast as a machine that is thrown away may be
	sha256sum </proc/sys/kernel/random/boot_id | cut -c1-32 >"$m/etc/machine-id"
	mkdir -p "$m/etc/systemd/journald.conf.d" "$m/etc/systemd/system-generators" "$m/etc/systemd/system/multi-user.target.wants"
	printf '[Journal]\nStorage=volatile\n' >"$m/etc/systemd/journald.conf.d/test.conf"
	# What costs emulated seconds and has nothing to do here.
	for u in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		systemd-logind.service getty@tty1.service serial-getty@ttyS0.service getty.target systemd-update-utmp.service \
		systemd-update-utmp-runlevel.service systemd-random-seed.service systemd-pstore.service systemd-binfmt.service \
		systemd-tmpfiles-clean.timer systemd-journal-flush.service systemd-journal-catalog-update.service ldconfig.service \
		systemd-update-done.service systemd-user-sessions.service systemd-machine-id-commit.service \
		systemd-firstboot.service systemd-sysusers.service systemd-ask-password-console.path \
		systemd-ask-password-wall.path dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
		sys-kernel-tracing.mount sys-fs-fuse-connections.mount sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount \
		modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
		systemd-networkd.service systemd-network-generator.service nftables.service dbus.service dbus.socket \
		modprobe@loop.service modprobe@dm_mod.service; do
		ln -sf /dev/null "$m/etc/systemd/system/$u"
	done
	for u in "$m"/usr/lib/systemd/system-generators/*; do
		ln -sf /dev/null "$m/etc/systemd/system-generators/${u##*/}"
	done
	for u in host-shell boot-mark farrier-answers; do
		ln -sf "/etc/systemd/system/$u.service" "$m/etc/systemd/system/multi-user.target.wants/$u.service"
	done
	ln -sf /lib/systemd/system/multi-user.target "$m/etc/systemd/system/default.target"
	mkdir -p "$m/tmp/debs"
	cp "$debs"/common/*.deb "$debs/$OLD/linux-image"*.deb "$m/tmp/debs/"
	# All headers: a big driver wants more of them than those that are kept for a guest to unpack.
	cp "$KROOT"/.debs/linux-headers-{"$OLD","${OLD%-amd64}-common"}_*.deb "$m/tmp/debs/"
	mount -t proc proc "$m/proc"
	chroot "$m" sh -c 'export DEBIAN_FRONTEND=noninteractive; dpkg -i /tmp/debs/*.deb && rm -rf /tmp/debs && ldconfig'
	modules $OLD "$m/usr"
	chroot "$m" depmod $OLD
	umount "$m/proc" "$m"
}
modules() { # modules ABI TREE: what NVIDIA's driver depends on, which the guest's packages leave out
	local f
	for f in drm drm_kms_helper video; do modprobe -d "$KROOT" -S "$1" --show-depends $f; done | sed -n "s#^insmod $KROOT/\([^ ]*\).*#\1#p" |
		sort -u | while read -r f; do install -D -m 644 "$KROOT/$f" "$2/$f"; done
}
vmlinux() { # the kernel without its compression: unpacking itself takes emulated seconds
	$PY - "$KROOT/boot/vmlinuz-$1" "$T/out/vmlinux-$1" <<-'P'
		import lzma, sys
		d = open(sys.argv[1], 'rb').read()
		i = d.find(b'\xfd7zXZ\x00')
		try: o = lzma.LZMADecompressor().decompress(d[i:]) if i > 0 else d
		except lzma.LZMAError: o = d
		open(sys.argv[2], 'wb').write(o if o[:4] == b'\x7fELF' else d)
	P
}
all() {
	export T rootfs debs node alone OLD KROOT
	unshare --mount --fork bash -euo pipefail -c "$(declare -f tree modules); tree"
	for abi in $OLD $NEW; do
		vmlinux "$abi"
		"$node/mkinitramfs.sh" "$T/out/initrd-$abi.gz" "$KROOT" "$abi" -m virtio_blk -m virtio_rng -m ext4
	done
	for d in "$debs/$NEW"/linux-image*.deb "$KROOT"/.debs/linux-headers-{"$NEW","${NEW%-amd64}-common"}_*.deb; do
		dpkg-deb -x "$d" "$T/out/next"
	done
	mkdir -p "$T/out/next/usr/lib" # where the tree's /lib points to
	cp -a "$T/out/next/lib/." "$T/out/next/usr/lib/"
	rm -rf "$T/out/next/lib"
	modules $NEW "$T/out/next/usr"
	mke2fs -q -t ext4 -F -L debs -d "$debs/$NEW" "$T/out/debs.img" 256M
	echo "$rootfs" >"$T/out/rootfs"
}
progress "disk of a machine without a cluster" all
: >"$T/out/.complete"
rm -rf "$to"
mv -T "$T/out" "$to"
for old in $(ls -dt "$FARRIER_CACHE"/alone-????????????????/ | tail -n +3); do rm -rf --one-file-system "$old"; done
echo "$to"
