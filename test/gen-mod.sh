#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Regenerates go.mod and go.sum for a Kubernetes release in a folder of Go sources.
# usage: gen-mod.sh DIR vX.Y.Z [FILE.mod]     FILE.mod: beside go.mod, for go build -modfile (its sums in FILE.sum)
# k8s.io/kubernetes' own go.mod says "require k8s.io/api v0.0.0" and replaces each staging module by ./staging/src/...;
# replaces in a dependency are ignored, so we repeat them here, pointing at the published module of the same minor and
# patch (v1.34.4 -> v0.34.4). The list is read from the release's own go.mod.
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/../hack/go.sh"
dir=${1:?usage: gen-mod.sh DIR vX.Y.Z [FILE.mod]} version=${2:?version, as v1.34.4} file=${3:-go.mod}
go=$(go_find)
cd "$dir"
name=$(sed -n 's/^module //p' go.mod)
mod=$("$go" mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
{
	echo "module $name"
	echo
	echo "go $(sed -n 's/^go \(.*\)/\1/p' "$mod")"
	echo
	grep '^godebug default' "$mod" || true # same runtime defaults as upstream's build
	echo
	echo "require k8s.io/kubernetes $version"
	echo
	echo "replace ("
	sed -n 's#^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/src/.*#\1#p' "$mod" |
		while read -r m; do printf '\t%s => %s v0.%s\n' "$m" "$m" "${version#v1.}"; done
	echo ")"
} >"$file"
rm -f "${file%.mod}.sum"
GOFLAGS="-modfile=$file" "$go" mod tidy
