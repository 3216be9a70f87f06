#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a container image from a folder, with no registry and no docker: one layer, docker-archive format.
# usage: mkimage.sh NAME:TAG DIR OUT.tar ENTRYPOINT [ARG...]
set -euo pipefail
name=$1 dir=$2 out=$3
shift 3
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$dir" -cf "$t/layer.tar" .
diff=$(sha256sum "$t/layer.tar" | cut -d' ' -f1)
ep=""
for a in "$@"; do ep+="${ep:+,}\"$a\""; done
cat >"$t/config.json" <<J
{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",
"config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":[$ep],"WorkingDir":"/"},
"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]}}
J
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$t/manifest.json"
tar -C "$t" -cf "$out" manifest.json config.json layer.tar
