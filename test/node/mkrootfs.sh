#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian tree of the test node: systemd, udev, compilers and the libraries that Farrier's programs need.
# Made once for a list of packages, kept in the cache; prints where it is.
# usage: mkrootfs.sh
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
packages="systemd-sysv,udev,kmod,dbus,iproute2,procps,linux-base,linux-compiler-gcc-12-x86,gcc-12,make,libc6-dev,libelf1
 ,bzip2,xz-utils,libcurl4,libjson-c5,libkmod2,libudev1,libyaml-0-2,libnghttp2-14,libprotobuf-c1,libssl3,libarchive13,zlib1g
 ,ca-certificates,runc,containernetworking-plugins,conntrack,nftables,iptables,mount,util-linux,busybox-static"
packages=${packages//[$'\n' ]/}
to=$FARRIER_CACHE/rootfs-$(digest_of "$packages" <"$0")
if [ ! -e "$to/.complete" ]; then
	# The file that names Debian's archive: each installer calls it differently.
	sources=$(grep -lE '^[^#]*\bbookworm\b' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list \
		/etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | head -1 || true)
	[ -n "$sources" ] || { echo "no file in /etc/apt names the suite bookworm" >&2; exit 3; }
	t=$FARRIER_CACHE/.rootfs.$$
	trap 'rm -rf --one-file-system "$t"' EXIT
	progress "debian tree of the node" mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
		--aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' bookworm "$t" "$sources" >&2
	: >"$t/.complete"
	rm -rf --one-file-system "$to"
	mv "$t" "$to"
fi
echo "$to"
