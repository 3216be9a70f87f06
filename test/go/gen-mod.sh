#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Regenerate go.mod for a Kubernetes release.   usage: gen-mod.sh v1.34.4
# k8s.io/kubernetes' own go.mod says "require k8s.io/api v0.0.0" and replaces each
# staging module by ./staging/src/...; replaces in a dependency are ignored, so we
# repeat them here, pointing at the published module of the same minor/patch
# (v1.34.4 -> v0.34.4).  The list is read from the release's own go.mod.
set -euo pipefail
cd "$(dirname "$0")"
V=${1:?usage: gen-mod.sh v1.X.Y}
SV=v0.${V#v1.}
mod=$(go mod download -json "k8s.io/kubernetes@$V" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
gov=$(sed -n 's/^go \(.*\)/\1/p' "$mod")
{
  echo "module farrier.dev/test"
  echo
  echo "go $gov"
  echo
  grep '^godebug default' "$mod" || true    # same runtime defaults as upstream's build
  echo
  echo "require k8s.io/kubernetes $V"
  echo
  echo "replace ("
  sed -n 's#^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/src/.*#\1#p' "$mod" |
    while read -r m; do printf '\t%s => %s %s\n' "$m" "$m" "$SV"; done
  echo ")"
} > go.mod
rm -f go.sum
go mod tidy
