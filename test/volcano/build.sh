#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Volcano's scheduler and controllers from its Go module into the cache, its custom resource definitions beside them;
# prints the folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
. "$SRC/hack/go.sh"
digest=$(cat "$here"/go/go.mod "$here"/go/go.sum "$here/build.sh" | digest_of volcano)
out=$FARRIER_CACHE/volcano-$digest
exec 9>"$FARRIER_CACHE/volcano.lock"
flock 9
if [ ! -d "$out" ]; then
	go=$(go_find) || { echo "no Go >= $GO_NEEDED: run hack/setup.sh" >&2; exit 3; }
	cd "$here/go"
	export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
	rm -rf "$out.new"
	mkdir -p "$out.new"
	for p in scheduler controller-manager; do
		progress "volcano $p" "$go" build -p 2 -ldflags "-s -w" -o "$out.new/vc-$p" "volcano.sh/volcano/cmd/$p"
	done
	cp "$("$go" list -m -f '{{.Dir}}' volcano.sh/volcano)"/config/crd/volcano/bases/*.yaml "$out.new/"
	chmod -R u+w "$out.new"
	mv "$out.new" "$out"
	find "$FARRIER_CACHE" -maxdepth 1 -name 'volcano-*' -type d ! -path "$out" -mtime +30 -exec rm -rf {} +
fi
echo "$out"
