#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What all test nodes start from, made once and kept in the cache: golden.img (Debian 12 with systemd, gcc-12, kernel
# 6.1.0-47 and its headers installed by dpkg, the node programs of the cluster as systemd units), debs.img (the packages
# of the next kernel, for dpkg in the guest), per kernel vmlinux-ABI and initrd-ABI.gz, and the same tree as the layers of
# an overlay (for namespaced nodes). Prints the folder.
# usage: mkgolden.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ -e "$OUT/.complete" ] || "$here/build.sh" >&2
# shellcheck disable=SC2086
KROOT=$("$node_here/fetch-kernels.sh" $KERNELS)
rootfs=$("$node_here/mkrootfs.sh")
# shellcheck disable=SC2086
debs=$("$node_here/mkdebs.sh" $KERNELS)
first=${KERNELS%% *}
to=$FARRIER_CACHE/node-$(cd "$node_here" && digest_of "$OUT" "$rootfs" "$debs" "$KERNELS" \
	< <(find mkgolden.sh mkinitramfs.sh edutest.c guest -type f | sort | xargs cat))
if [ -e "$to/.complete" ]; then
	echo "$to"
	exit 0
fi
rm -rf "$FARRIER_CACHE"/.node.*
T=$FARRIER_CACHE/.node.$$
trap 'rm -rf --one-file-system "$T"' EXIT
mkdir -p "$T"/{up,work,merged,out}

tree() { # in a mount namespace of its own: the Debian tree with what makes it a node on top, into an ext4 image
	local m=$T/merged
	mount --make-rprivate /
	mount -t overlay -o "lowerdir=$rootfs,upperdir=$T/up,workdir=$T/work" overlay "$m"
	rm -f "$m/.complete"
	cp -r "$node_here"/guest/etc/. "$m/etc/"
	install -D -m 755 "$node_here"/guest/boot-next "$m/usr/lib/systemd/system-shutdown/boot-next"
	install -D -m 755 -t "$m/usr/local/lib/node/" "$node_here"/guest/identity "$node_here"/guest/shell
	install -m 755 "$BIN"/{containerd,containerd-shim-runc-v2,ctr,kubeall,podres} "$m/usr/local/bin/"
	for p in kubelet kube-proxy; do ln -sf kubeall "$m/usr/local/bin/$p"; done
	gcc -static -O2 -o "$m/usr/local/bin/edutest" "$node_here/edutest.c"
	printf '127.0.0.1 localhost\n' >"$m/etc/hosts"
	: >"$m/etc/resolv.conf"
	: >"$m/etc/fstab"
	echo "do_symlinks = yes" >"$m/etc/kernel-img.conf"
	printf 'force-unsafe-io\n' >"$m/etc/dpkg/dpkg.cfg.d/test" # as fast as a machine that is thrown away may be
	sha256sum </proc/sys/kernel/random/boot_id | cut -c1-32 >"$m/etc/machine-id"
	for u in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
		fstrim.timer systemd-logind.service getty@tty1.service serial-getty@ttyS0.service getty.target \
		systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-random-seed.service \
		systemd-pstore.service systemd-binfmt.service systemd-tmpfiles-clean.timer systemd-journal-flush.service \
		systemd-journal-catalog-update.service ldconfig.service systemd-update-done.service \
		systemd-user-sessions.service systemd-machine-id-commit.service systemd-firstboot.service \
		systemd-sysusers.service systemd-ask-password-console.path systemd-ask-password-wall.path \
		dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
		sys-fs-fuse-connections.mount sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount \
		modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
		systemd-networkd.service systemd-network-generator.service nftables.service \
		dbus.service dbus.socket modprobe@loop.service modprobe@dm_mod.service; do
		ln -sf /dev/null "$m/etc/systemd/system/$u"
	done
	mkdir -p "$m/etc/systemd/system-generators" "$m/etc/systemd/system/multi-user.target.wants"
	for g in "$m"/usr/lib/systemd/system-generators/*; do # they cost a fork each and have nothing to find here
		ln -sf /dev/null "$m/etc/systemd/system-generators/${g##*/}"
	done
	for u in node-identity containerd kubelet kube-proxy host-shell boot-mark; do
		ln -sf "/etc/systemd/system/$u.service" "$m/etc/systemd/system/multi-user.target.wants/$u.service"
	done
	ln -sf /lib/systemd/system/multi-user.target "$m/etc/systemd/system/default.target"
	# The kernel that the node runs, with its headers, as dpkg installs them.
	mkdir -p "$m/tmp/debs"
	cp "$debs"/common/*.deb "$debs/$first"/*.deb "$m/tmp/debs/"
	mount -t proc proc "$m/proc"
	chroot "$m" sh -c 'export DEBIAN_FRONTEND=noninteractive; dpkg -i /tmp/debs/*.deb && rm -rf /tmp/debs && ldconfig'
	umount "$m/proc"
	readlink "$m/vmlinuz" >&2
	mke2fs -q -t ext4 -F -L node -E lazy_itable_init=1 -O ^metadata_csum -d "$m" "$T/out/golden.img" 6G
	umount "$m"
}
vmlinux() { # the kernel without its compression (boots by PVH): unpacking itself takes emulated seconds
	$PY - "$KROOT/boot/vmlinuz-$1" "$T/out/vmlinux-$1" <<'P'
import lzma, sys
d = open(sys.argv[1], 'rb').read()
i = d.find(b'\xfd7zXZ\x00')
try: o = lzma.LZMADecompressor().decompress(d[i:]) if i > 0 else d
except lzma.LZMAError: o = d
open(sys.argv[2], 'wb').write(o if o[:4] == b'\x7fELF' else d)
P
}
all() {
	export T to rootfs debs first node_here BIN PY
	unshare --mount --fork bash -euo pipefail -c "$(declare -f tree); tree"
	for abi in $KERNELS; do
		vmlinux "$abi"
		"$node_here/mkinitramfs.sh" "$T/out/initrd-$abi.gz" "$KROOT" "$abi" -m virtio_blk -m virtio_net -m virtio_rng -m ext4
	done
	# Served to the guest as a read-only disk: the other kernels, each in a folder.
	mkdir "$T/debs"
	for abi in $KERNELS; do [ "$abi" = "$first" ] || cp -r "$debs/$abi" "$T/debs/"; done
	mke2fs -q -t ext4 -F -L debs -d "$T/debs" "$T/out/debs.img" 256M
	# The same tree for namespaced nodes: two layers of an overlay.
	mv "$T/up" "$T/out/up"
	echo "$to/up:$rootfs" >"$T/out/layers"
}
progress "golden disk of the node" all
: >"$T/out/.complete"
rm -rf "$to"
mv -T "$T/out" "$to"
for old in $(ls -dt "$FARRIER_CACHE"/node-????????????????/ | tail -n +4); do rm -rf "$old"; done
echo "$to"
