#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a fresh Debian 12 machine able to build, lint and test Farrier. Run as root; can be run again at no cost.
# usage: setup.sh [build|all]     build: only what `make` and `make check` need (default: all)
# env:   FARRIER_CACHE (default /var/cache/farrier): a Go toolchain goes there if the machine has none
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/go.sh
build="gcc make pkg-config libc6-dev libcurl4-openssl-dev libjson-c-dev libkmod-dev libudev-dev libyaml-dev
 libnghttp2-dev libprotobuf-c-dev protobuf-c-compiler libssl-dev libarchive-dev zlib1g-dev libxxhash-dev libcmocka-dev patch"
lint="clang-format-14 clang-tidy-14 cppcheck shellcheck gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
run="ca-certificates curl openssl python3-minimal python3 python3-yaml lua5.4 iproute2 kmod cpio xz-utils unzip e2fsprogs busybox-static
 procps util-linux bsdextrautils git umockdev libumockdev-dev clang-14
 libclang-rt-14-dev ccache"
node="qemu-system-x86 qemu-utils mmdebstrap gcc-12"
case ${1:-all} in
build) want="$build" ;;
all) want="$build $lint $run $node" ;;
*) echo "usage: setup.sh [build|all]" >&2; exit 2 ;;
esac

. /etc/os-release
[ "${ID:-}:${VERSION_ID:-}" = debian:12 ] || echo "setup: made for Debian 12, this is ${PRETTY_NAME:-?}" >&2
missing() { # missing PACKAGE...: those that are not installed
	# dpkg-query fails when it has never heard of one, as on a machine without package lists.
	{ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } | sed -n 's/^installed //p' |
		sort -u | comm -13 - <(printf '%s\n' "$@" | sort -u)
}
install() { # install PACKAGE...
	[ "$(id -u)" = 0 ] || { echo "setup: run as root to install: $*" >&2; exit 3; }
	echo "setup: installing" "$@"
	# The lists may be too old to fetch from, or never have been fetched: ask for them only when needed.
	export DEBIAN_FRONTEND=noninteractive
	local opts=(-y -qq --no-install-recommends -o Dpkg::Use-Pty=0)
	[ -n "${updated:-}" ] || { apt-get update -qq; updated=1; }
	apt-get install "${opts[@]}" "$@" >/dev/null
}
# shellcheck disable=SC2086
m=$(missing $want)
# shellcheck disable=SC2086
if [ -n "$m" ]; then install $m; else echo "setup: every Debian package is there"; fi
# The cluster is fetched and unpacked with apt-get: it needs the lists even where nothing had to be installed.
[ -n "${updated:-}" ] || apt-cache show runc >/dev/null 2>&1 || { apt-get update -qq; updated=1; }
[ "${1:-all}" = all ] || exit 0

go=$(go_find) || {
	# Debian's own Go is too old to build Kubernetes, but it knows where Go modules come from, and the
	# newer toolchain is published as one. Its bytes are pinned in hack/go.sh.
	[ -n "$(go_proxy)" ] || install golang-1.19-go
	go=$(go_fetch)
}
echo "setup: $("$go" version), $go"
