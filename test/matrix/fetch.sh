#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian's own packages of out-of-tree drivers, unmodified, unpacked into the cache, and Debian's dkms beside them:
# <folder>/usr/src/NAME-VERSION, <folder>/usr/sbin/dkms. NVIDIA's is in the archive's component "contrib", for which apt
# gets lists of its own: nothing of this machine's configuration changes. Prints the folder.
# usage: fetch.sh
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
packages="nvidia-open-kernel-dkms v4l2loopback-dkms evdi-dkms dpdk-kmods-dkms dkms"
to=$FARRIER_CACHE/drivers-$(digest_of "$packages" <"$0")
exec 9>"$to.lock"
flock 9
if [ ! -e "$to/.complete" ]; then
	t=$FARRIER_CACHE/.drivers.$$
	trap 'rm -rf "$t"' EXIT
	mkdir -p "$t"/{parts,lists/partial,cache/archives/partial,debs,out}
	for f in /etc/apt/sources.list.d/*.sources; do
		[ ! -f "$f" ] || sed 's/^Components:.*/Components: main contrib/' "$f" >"$t/parts/${f##*/}"
	done
	[ ! -f /etc/apt/sources.list ] || sed 's/ main.*/ main contrib/' /etc/apt/sources.list >"$t/parts/main.list"
	cat >"$t/conf" <<-C
		Dir::Etc::SourceList "/dev/null";
		Dir::Etc::SourceParts "$t/parts";
		Dir::State::Lists "$t/lists";
		Dir::Cache "$t/cache";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
	C
	export APT_CONFIG=$t/conf
	apt-get -qq update
	# shellcheck disable=SC2086
	(cd "$t/debs" && apt-get -qq download $packages)
	for d in "$t"/debs/*.deb; do dpkg-deb -x "$d" "$t/out"; done
	: >"$t/out/.complete"
	rm -rf "$to"
	mv -T "$t/out" "$to"
fi
echo "$to"
