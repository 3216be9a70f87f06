#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin's own image: nothing in it but the plugin and its libraries, under 15 MB; built from the same sources in
# another folder, at another time, without the compiler's cache, it has the same bytes; and it runs alone in there.
# usage: image.sh      root; needs `make`d programs
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
passed=0 failed=0
check() { # check NAME CMD...
	local name=$1
	shift
	if "$@"; then
		echo "ok $name" && passed=$((passed + 1))
	else
		echo "not ok $name" && failed=$((failed + 1))
	fi
}
w=$(mktemp -d /tmp/farrier-image.XXXXXX)
trap 'rm -rf --one-file-system "$w"' EXIT
image=build/images/farrier-device-plugin.tar
make -s build/farrier-device-plugin && hack/image.sh --plugin-only || exit 1

again() {
	mkdir "$w/tree" && cp -r Makefile hack lib device-plugin "$w/tree/" || return
	env CCACHE_DISABLE=1 make -s -j"$(nproc)" -C "$w/tree" build/farrier-device-plugin >/dev/null && "$w/tree/hack/image.sh" --plugin-only || return
	sha256sum $image "$w/tree/$image" | sed 's/^/#   /'
	cmp $image "$w/tree/$image"
}
small() {
	local size
	size=$(stat -c %s $image)
	echo "#   $size bytes"
	[ "$size" -lt 15000000 ]
}
unpack() {
	mkdir "$w/x" "$w/root" && tar -xf $image -C "$w/x" || return
	for layer in "$w"/x/*.tar; do tar -xf "$layer" -C "$w/root" || return; done
}
only() { # its files: the program, libraries, the loader
	local more
	more=$(cd "$w/root" && find . -type f ! -path './usr/lib*/*.so*')
	[ "$more" = ./usr/bin/farrier-device-plugin ] || { echo "#   also: $more"; return 1; }
}
runs() { # every library is there
	chroot "$w/root" /usr/bin/farrier-device-plugin --version &&
		chroot "$w/root" /usr/bin/farrier-device-plugin --list --classes /none >/dev/null
}
check "image: the plugin's own is under 15 MB" small
check "image: it unpacks" unpack
check "image: nothing in it but the plugin and its libraries" only
check "image: it runs alone in there" runs
check "image: a second build elsewhere gives equal bytes" again
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
