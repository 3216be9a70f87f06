#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the cluster's own images into $OUT/images: pause, busybox (Debian's, static), sample-device-plugin.
# Called by build.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$OUT/images"
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT

mkdir "$t/pause"
gcc -Os -static -s -o "$t/pause/pause" "$here/images/pause.c"
"$here/mkimage.sh" registry.local/pause:1 "$t/pause" "$OUT/images/pause.tar" /pause

mkdir -p "$t/bb/bin" "$t/bb/tmp" "$t/bb/etc"
chmod 1777 "$t/bb/tmp"
cp "$OUT/deb/bin/busybox" "$t/bb/bin/busybox"
for a in $("$OUT/deb/bin/busybox" --list); do [ "$a" = busybox ] || ln -s busybox "$t/bb/bin/$a"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$t/bb/etc/passwd"
"$here/mkimage.sh" registry.local/busybox:1 "$t/bb" "$OUT/images/busybox.tar" /bin/sh

mkdir -p "$t/sdp/tmp" "$t/sdp/var/run"
cp "$OUT/bin/sample-device-plugin" "$t/sdp/"
"$here/mkimage.sh" registry.local/sample-device-plugin:1 "$t/sdp" "$OUT/images/sample-device-plugin.tar" \
	/sample-device-plugin
