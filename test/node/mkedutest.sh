#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Image registry.local/edutest:1, a program that computes on an edu card, as a tar in the cache; prints its path.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
to=$FARRIER_CACHE/edutest-$(digest_of "$OUT" <"$node_here/edutest.c").tar
if [ ! -e "$to" ]; then
	t=$(mktemp -d)
	trap 'rm -rf "$t"' EXIT
	mkdir -p "$t/r/bin" "$t/r/tmp"
	gcc -static -O2 -s -o "$t/r/bin/edutest" "$node_here/edutest.c"
	cp "$DEB/bin/busybox" "$t/r/bin/"
	for a in sh ls cat sleep env grep; do ln -s busybox "$t/r/bin/$a"; done
	"$here/mkimage.sh" registry.local/edutest:1 "$t/r" "$t/out.tar" /bin/edutest
	mv "$t/out.tar" "$to.$$"
	mv "$to.$$" "$to"
fi
echo "$to"
