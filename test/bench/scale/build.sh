#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Go programs of the benchmark of the controller, once for each content; prints the folder they are in.
# env: FARRIER_CACHE (default /var/cache/farrier)
set -euo pipefail
cd "$(dirname "$0")"
. ../../../hack/go.sh
go=$(go_find) || { echo "no Go $GO_NEEDED or newer: run hack/setup.sh" >&2; exit 3; }
out=$FARRIER_CACHE/go-bin/scale-$(cat go.mod go.sum ./*/*.go | sha256sum | cut -c1-16)
if [ ! -d "$out" ]; then
	export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
	mkdir -p "$FARRIER_CACHE/go-bin"
	tmp=$(mktemp -d "$FARRIER_CACHE/go-bin/.scale.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	"$go" build -p 2 -ldflags "-s -w" -o "$tmp/" ./apistub ./fleet ./informer >&2
	chmod 755 "$tmp"
	rm -rf "$out"
	mv "$tmp" "$out"
	trap - EXIT
fi
echo "$out"
