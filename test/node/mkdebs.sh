#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian's packages of a kernel, made quick to install under emulation: the image keeps only the modules that the node
# needs, and nothing is compressed. Names, versions, dependencies and maintainer scripts stay Debian's own, so that
# dpkg, /etc/kernel/postinst.d and linux-update-symlinks do what they do on any machine. Prints the folder.
# usage: mkdebs.sh ABI...
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
KROOT=$("$SRC/test/node/fetch-kernels.sh" "$@")
# What a Kubernetes node loads; the rest of Debian's 4,000 modules would only cost time.
modules="virtio_pci virtio_blk virtio_net virtio_rng virtio_console ext4 overlay bridge br_netfilter veth tun dummy
 nf_tables nf_conntrack nf_conntrack_netlink nft_chain_nat nft_ct nft_masq nft_nat nft_reject_inet nft_reject_ipv4
 nft_reject_ipv6 nft_fib_inet nft_fib_ipv4 nft_fib_ipv6 nft_numgen nft_log nft_limit nft_redir nft_hash nft_compat
 xt_comment xt_mark xt_conntrack xt_MASQUERADE xt_addrtype 9p 9pnet_virtio loop squashfs"
to=$FARRIER_CACHE/debs-$(cd "$KROOT/.debs" && digest_of "$@" "$(ls)" <"$SRC/test/node/mkdebs.sh")
if [ -e "$to/.complete" ]; then
	echo "$to"
	exit 0
fi
t=$FARRIER_CACHE/.debs.$$
trap 'rm -rf "$t"' EXIT
mkdir -p "$t/out"

repack() { # repack DEB FOLDER [ABI]: unpack, trim if it is an image, pack without compression
	local x=$t/x abi=${3:-} f
	rm -rf "$x"
	dpkg-deb -R "$1" "$x"
	rm -f "$x/DEBIAN/md5sums"
	if [ -n "$abi" ]; then
		for f in $modules; do
			modprobe -d "$KROOT" -S "$abi" --show-depends "$f" 2>/dev/null || true
		done | sed -n "s#^insmod $KROOT/\([^ ]*\).*#\1#p" | sort -u >"$t/keep"
		(cd "$x" && find lib/modules -name '*.ko*' | sort | comm -23 - "$t/keep" | xargs rm -f)
		find "$x/lib/modules" -type d -empty -delete
		rm -rf "$x"/usr/share/doc "$x"/boot/System.map-*
	fi
	if compgen -G "$x/usr/src/linux-headers-*-common" >/dev/null; then # other processors' and boards' headers: two thirds of 10,000 files
		(cd "$x"/usr/src/linux-headers-*-common && find arch -mindepth 1 -maxdepth 1 -type d ! -name x86 -exec rm -rf {} + &&
			rm -rf include/{dt-bindings,media,sound,rdma,scsi,target,ufs,soc,pcmcia,video,xen,kunit} include/linux/{iio,mtd,regulator})
	fi
	dpkg-deb --root-owner-group -Znone -b "$x" "$2" >/dev/null
}
for abi; do
	mkdir -p "$t/out/$abi"
	repack "$KROOT"/.debs/linux-image-"$abi"_*.deb "$t/out/$abi" "$abi"
	repack "$KROOT"/.debs/linux-headers-"$abi"_*.deb "$t/out/$abi"
	repack "$KROOT"/.debs/linux-headers-"${abi%-amd64}"-common_*.deb "$t/out/$abi"
done
mkdir -p "$t/out/common" "$t/initramfs/DEBIAN"
repack "$KROOT"/.debs/linux-kbuild-*.deb "$t/out/common"
# The node boots with an initramfs made outside (mkinitramfs.sh): making one under emulation takes minutes.
cat >"$t/initramfs/DEBIAN/control" <<C
Package: farrier-test-initramfs
Version: 1
Architecture: all
Provides: linux-initramfs-tool
Maintainer: Farrier tests <tests@farrier.invalid>
Description: stands in for initramfs-tools on a node that boots from outside
C
dpkg-deb --root-owner-group -Znone -b "$t/initramfs" "$t/out/common" >/dev/null
: >"$t/out/.complete"
rm -rf "$to"
mv -T "$t/out" "$to"
echo "$to"
