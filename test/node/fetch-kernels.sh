#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian kernels with their headers, in a private root in the cache: $FARRIER_CACHE/kroot/{boot,lib/modules,usr/src}.
# Nothing is installed on this machine. The headers' absolute paths are relocated, so that
# `make -C kroot/usr/src/linux-headers-ABI` works. Prints the root.
# usage: fetch-kernels.sh [ABI...]     (default: the two kernels of the demo)
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
[ $# -gt 0 ] || set -- 6.1.0-47-amd64 6.1.0-56-amd64
root=$FARRIER_CACHE/kroot
mkdir -p "$root/.debs" "$root/.stamp"
exec 9>"$FARRIER_CACHE/kroot.lock"
flock 9

get() { # get PACKAGE...: into .debs, unless there
	for p; do
		compgen -G "$root/.debs/${p}_*.deb" >/dev/null ||
			(cd "$root/.debs" && apt-get -qq -o APT::Sandbox::User=root download "$p")
	done
}
unpack() {
	for p; do
		[ ! -e "$root/.stamp/$p" ] || continue
		dpkg-deb -x "$root/.debs/${p}_"*.deb "$root"
		: >"$root/.stamp/$p"
	done
}
deps() { apt-cache show --no-all-versions "$1" | sed -n 's/^Depends: //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//'; }
relocate() { # links and literal paths of a header tree, once: a relocated path is preceded by $root
	local d=$1 l f t
	for l in "$d"/scripts "$d"/tools "$d"/include/*; do
		[ -L "$l" ] || continue
		t=$(readlink "$l")
		case $t in "$root"/*) ;; /usr/* | /lib/*) ln -sfn "$root$t" "$l" ;; esac
	done
	for f in "$d/Makefile" "$d/.kernelvariables"; do
		[ ! -f "$f" ] || sed -i \
			"s#\(^\|[^[:alnum:]_./+-]\)/usr/\(src/linux-headers\|lib/linux-kbuild\)#\1$root/usr/\2#g" "$f"
	done
}

for abi; do
	[ ! -e "$root/.stamp/$abi" ] || continue
	# An image stays on the mirrors longer than its headers: ask for these.
	apt-cache show --no-all-versions "linux-headers-$abi" >/dev/null 2>&1 ||
		{ echo "no linux-headers-$abi on the mirror" >&2; exit 1; }
	headers=linux-headers-$abi
	common=$(deps "$headers" | grep -- '-common')
	kbuild=$(deps "$headers" | grep '^linux-kbuild')
	get "linux-image-$abi" "$headers" "$common" "$kbuild"
	unpack "linux-image-$abi" "$headers" "$common" "$kbuild"
	relocate "$root/usr/src/$headers"
	relocate "$root/usr/src/$common"
	for l in build source; do
		p=$root/lib/modules/$abi/$l
		[ -L "$p" ] || continue
		t=$(readlink "$p")
		case $t in "$root"/*) ;; /*) ln -sfn "$root$t" "$p" ;; esac
	done
	depmod -b "$root" "$abi" # the package makes it after installing
	: >"$root/.stamp/$abi"
done
echo "$root"
