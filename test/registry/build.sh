#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the CNCF's distribution registry from its Go module into the cache; prints the program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
. "$SRC/hack/go.sh"
digest=$(cat "$here"/go/go.mod "$here"/go/go.sum "$here"/go/main.go "$here/build.sh" | digest_of registry)
out=$FARRIER_CACHE/registry-$digest
exec 9>"$FARRIER_CACHE/registry.lock"
flock 9
if [ ! -x "$out" ]; then
	go=$(go_find) || { echo "no Go >= $GO_NEEDED: run hack/setup.sh" >&2; exit 3; }
	cd "$here/go"
	export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
	progress "registry" "$go" build -ldflags "-s -w" -o "$out.new" .
	mv "$out.new" "$out"
	find "$FARRIER_CACHE" -maxdepth 1 -name 'registry-*' -type f ! -path "$out" -mtime +30 -delete
fi
echo "$out"
