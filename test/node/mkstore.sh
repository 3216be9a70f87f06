#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A disk with containerd's store and the given images in it, imported natively in throw-away namespaces: in the guest
# an import costs about a second per MB. Kept in the cache by the images' digests; prints the file.
# usage: mkstore.sh IMAGE.tar...    (the cluster's own images are always in it)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
images=("$OUT"/images/*.tar "$("$node_here/mkedutest.sh")" "$@")
to=$FARRIER_CACHE/store-$(sha256sum "${images[@]}" | cut -d' ' -f1 | digest_of "$OUT").img
if [ ! -e "$to" ]; then
	T=$(mktemp -d "$FARRIER_CACHE/.store.XXXXXX")
	trap 'rm -rf --one-file-system "$T"' EXIT
	mkdir "$T/root"
	import() {
		local ctr="ctr -a /run/containerd/containerd.sock" p
		mount --make-rprivate /
		mount -t tmpfs tmpfs /run
		mkdir -p /run/containerd
		printf 'version = 3\nroot = "%s"\nstate = "/run/containerd"\n[grpc]\n  address = "/run/containerd/containerd.sock"\n' \
			"$T/root" >/run/c.toml
		containerd -c /run/c.toml >"$T/log" 2>&1 &
		p=$!
		until $ctr version >/dev/null 2>&1; do
			kill -0 $p || { cat "$T/log"; return 1; }
			sleep 0.1
		done
		for f; do $ctr -n k8s.io images import "$f"; done
		kill $p
		wait $p || true
	}
	export T PATH
	progress "images for the node" unshare --mount --net --pid --fork --kill-child --mount-proc \
		bash -euo pipefail -c "$(declare -f import); import \"\$@\"" import "${images[@]}"
	mke2fs -q -t ext4 -F -L store -E lazy_itable_init=1 -O ^metadata_csum -d "$T/root" "$T/img" 4G >/dev/null
	mv "$T/img" "$to"
	for old in $(ls -t "$FARRIER_CACHE"/store-*.img | tail -n +4); do rm -f "$old"; done
fi
echo "$to"
