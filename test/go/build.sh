#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Go programs that tests of the device plugin need (Farrier itself has no Go), once for each
# content: the kubelet's own plugin server as kubeletstub, its whole device manager as
# kubeletmanager, the runtimes' CDI library as cdicheck, and the upstream sample plugin as the peer.
# Prints the folder they are in. env: FARRIER_CACHE (default /var/cache/farrier)
set -euo pipefail
cd "$(dirname "$0")"
. ../../hack/go.sh
go=$(go_find) || { echo "no Go $GO_NEEDED or newer: run hack/setup.sh" >&2; exit 3; }
k8s=$(sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v.*\)/\1/p' go.mod)
key=$(cat go.mod go.sum ./*/*.go | sha256sum | cut -c1-16)
out=$FARRIER_CACHE/go-bin/plugin-$k8s-$key
if [ ! -d "$out" ]; then
	export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
	mkdir -p "$FARRIER_CACHE/go-bin"
	tmp=$(mktemp -d "$FARRIER_CACHE/go-bin/.plugin.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	"$go" build -p 2 -ldflags "-s -w" -o "$tmp/" ./kubeletstub ./kubeletmanager ./cdicheck >&2
	"$go" build -p 2 -ldflags "-s -w" -o "$tmp/" k8s.io/kubernetes/test/images/sample-device-plugin >&2
	chmod 755 "$tmp"
	rm -rf "$out"
	mv "$tmp" "$out"
	trap - EXIT
fi
echo "$out"
