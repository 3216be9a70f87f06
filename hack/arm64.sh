#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles every source for arm64, and keeps nothing: what would not compile there is told. Debian's cross compiler has
# the C library's headers; those of the other libraries are this machine's, which differ in nothing that C sees.
# usage: arm64.sh [FILE...]     (default: lib and the parts)     Exit status 1 when one does not compile.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3
cc=aarch64-linux-gnu-gcc
command -v $cc >/dev/null || { echo "skip arm64: $cc is not installed; make setup installs it"; exit 0; }
work=$(mktemp -d /tmp/farrier-arm64-XXXXXX)
trap 'rm -rf "$work"' EXIT
# Headers that Debian keeps per architecture, though they are the same everywhere.
here=/usr/include/$(gcc -print-multiarch)
for d in curl openssl; do
	[ ! -e "$here/$d" ] || ln -s "$here/$d" "$work/$d"
done
[ $# -gt 0 ] || set -- lib/*.c driver-builder/*.c device-plugin/*.c controller/*.c
make -s gen || exit 3
make -s print-cflags | sed "s# -I$here\\b##g" >"$work/flags"
export work cc
one() { # one FILE: in a shell of its own
	local log flags
	log=$(mktemp "$work/log-XXXXXX")
	eval "flags=($(cat "$work/flags"))" # as make quotes them
	if $cc "${flags[@]}" -isystem "$work" -S -o /dev/null "$1" 2>"$log"; then
		echo "ok $1"
	else
		echo "not ok $1"
		head -n 20 "$log" | sed 's/^/   | /'
	fi
}
export -f one
# shellcheck disable=SC2016
printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -I{} bash -c 'one "$1"' - {} >"$work/out"
grep -v '^ok ' "$work/out"
p=$(grep -c '^ok ' "$work/out") f=$(grep -c '^not ok ' "$work/out")
echo "$p passed, $f failed, 0 skipped"
[ "$f" = 0 ] && [ "$p" -gt 0 ]
