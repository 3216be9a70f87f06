#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Container images as docker-archive tars in build/images/, without docker and without a registry. The same programs
# and the same packages give the same bytes.
#
#   farrier.tar            the three programs, their libraries, kmod; /usr/lib/farrier/plugin for hosts
#   farrier-device-plugin.tar  the plugin, its libraries and nothing else (under 15 MB)
#   farrier-toolchain.tar  the same as farrier.tar and a C toolchain (Debian packages), for hosts that have no compiler
#   farrier-shim.tar       the same as farrier.tar and build/shim/libkernel.so preloaded; for tests only
#
# usage: image.sh [--slim-only | --plugin-only] [--shim]
# env: BUILD (build)  VERSION  REPOSITORY (farrier.dev)  FARRIER_CACHE
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
B=${BUILD:-build}
VERSION=${VERSION:-$(sed -n 's/^VERSION := //p' Makefile)}
REPOSITORY=${REPOSITORY:-farrier.dev}
CACHE=${FARRIER_CACHE:-/var/cache/farrier}
LIBDIR=usr/lib/$(uname -m)-linux-gnu
case $(uname -m) in
x86_64) ARCH=amd64 LOADER=usr/lib64/ld-linux-x86-64.so.2 ;;
aarch64) ARCH=arm64 LOADER=usr/lib/ld-linux-aarch64.so.1 ;;
*) echo "image: no images for $(uname -m)" >&2 && exit 3 ;;
esac
# A compiler for modules and what kbuild, DKMS trees and BTF ask for beside it.
PACKAGES=(gcc-12 gcc make libc6-dev binutils perl-base bash dash coreutils sed grep mawk findutils diffutils
	tar gzip xz-utils zstd bzip2 patch bc cpio util-linux kmod pahole libelf1 libssl3)
# What only their installation or their debuggers need.
SKIP='dpkg debconf libpam0g libaudit1 libaudit-common libsystemd0 libtirpc3 libtirpc-common libtirpc-dev libnsl2 libnsl-dev
	rpcsvc-proto libkrb5-3 libkrb5support0 libk5crypto3 libgssapi-krb5-2 libkeyutils1 libcom-err2 libasan8 liblsan0 libtsan2
	libubsan1 libitm1 libgomp1 libquadmath0 libatomic1 libgprofng0'

want_toolchain=1 want_slim=1 want_shim=0
for arg in "$@"; do
	case $arg in
	--slim-only) want_toolchain=0 ;;
	--plugin-only) want_toolchain=0 want_slim=0 ;;
	--shim) want_shim=1 ;;
	*) echo "usage: image.sh [--slim-only | --plugin-only] [--shim]" >&2 && exit 2 ;;
	esac
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$B/images" "$CACHE"

# The folders that every Debian 12 tree has, /usr merged.
skeleton() {
	local root=$1
	mkdir -p "$root"/{dev,etc,host,proc,run,sys,tmp,var/lib,usr/{bin,sbin,lib,lib64}} "$root/$LIBDIR"
	ln -s usr/bin "$root/bin" && ln -s usr/sbin "$root/sbin"
	ln -s usr/lib "$root/lib" && ln -s usr/lib64 "$root/lib64"
	ln -s ../run "$root/var/run"
	chmod 1777 "$root/tmp"
}

# Paths of the libraries a program needs, the loader left out.
closure() {
	ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u
}

# libarchive wants libxml2 (for xar archives, which are no source of a driver), that wants ICU, and that 31 MB of tables
# for text encodings. Without them ICU knows UTF-8, and so its own build has such an empty library too.
without_tables() {
	local file=$1/libicudata.so.72
	[ -f "$file" ] || return 0
	printf 'const unsigned char icudt72_dat[64] __attribute__((aligned(16))) = { 0 };\n' |
		gcc -shared -fPIC -nostdlib -s -Wl,--build-id=none -Wl,-soname,libicudata.so.72 -x c -o "$file" -
}

pack() { # pack DIR OUT.tar: equal trees give equal tars
	find "$1" -exec touch -h -d @0 {} +
	tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$1" -cf "$2" .
}

# A build id is made of debug information, and so of the folder that the sources were in.
take_program() { # take_program NAME ROOT
	[ -x "$B/farrier-$1" ] || { echo "image: $B/farrier-$1 is not there, run make first" >&2 && exit 3; }
	strip --strip-unneeded -R .note.gnu.build-id -o "$2/usr/bin/farrier-$1" "$B/farrier-$1"
	chmod 755 "$2/usr/bin/farrier-$1"
}

plugin_layer() {
	local root=$work/plugin lib
	skeleton "$root"
	take_program device-plugin "$root"
	closure "$root/usr/bin/farrier-device-plugin" | while read -r lib; do
		install -m 644 "$lib" "$root/$LIBDIR/"
	done
	install -m 755 "/$LOADER" "$root/$LOADER"
	pack "$root" "$work/plugin.tar"
}

slim_layer() {
	local root=$work/slim plugin lib p
	skeleton "$root"
	plugin=$root/usr/lib/farrier/plugin
	mkdir -p "$plugin/lib" "$root/etc/ssl/certs"
	for p in controller driver-builder device-plugin; do
		take_program "$p" "$root"
	done
	cp -L "$(command -v kmod)" "$root/usr/bin/kmod"
	for p in depmod modprobe insmod rmmod lsmod modinfo; do ln -s ../bin/kmod "$root/usr/sbin/$p"; done
	closure "$root"/usr/bin/farrier-* "$root/usr/bin/kmod" | while read -r lib; do
		cp -L "$lib" "$root/$LIBDIR/"
	done
	without_tables "$root/$LIBDIR"
	cp -L "/$LOADER" "$root/$LOADER"
	# For hosts: run as ld.so --library-path lib ./farrier-device-plugin, whatever libc the host has.
	ln "$root/usr/bin/farrier-device-plugin" "$plugin/farrier-device-plugin"
	ln "$root/$LOADER" "$plugin/ld.so"
	closure "$plugin/farrier-device-plugin" | while read -r lib; do
		ln "$root/$LIBDIR/${lib##*/}" "$plugin/lib/${lib##*/}"
	done
	cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
	printf 'root:x:0:0:root:/:/bin/sh\nfarrier:x:65532:65532:farrier:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\nfarrier:x:65532:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
	find "$root" -type d ! -name tmp -exec chmod 755 {} +
	find "$root" -type f ! -perm 755 -exec chmod 644 {} +
	chmod 755 "$root/$LOADER" "$root/usr/bin/kmod"
	pack "$root" "$work/slim.tar"
}

# apt as if nothing were installed, so that the closure is whole and does not depend on this machine.
apt_fresh() {
	apt-get -qq -o Dir::State::status=/dev/null -o Dir::Cache::archives="$CACHE/debs" -o APT::Install-Recommends=false \
		-o APT::Sandbox::User=root -o Debug::NoLocking=true "$@"
}

toolchain_layer() {
	local root=$work/toolchain list=$B/images/farrier-toolchain.packages key deb
	apt_fresh --simulate install "${PACKAGES[@]}" | awk '$1 == "Inst" { print $2 "=" substr($3, 2) }' | sort >"$list"
	[ -s "$list" ] || { echo "image: apt offers no ${PACKAGES[0]}; run apt-get update first" >&2 && exit 3; }
	key=$( (cat "$list" && declare -f skeleton pack trim toolchain_layer && echo "$SKIP") | sha256sum | cut -c1-16)
	if [ ! -s "$CACHE/toolchain-$key.tar" ]; then
		mkdir -p "$CACHE/debs/partial"
		skeleton "$root"
		apt_fresh --download-only --yes install "${PACKAGES[@]}" >/dev/null
		while IFS='=' read -r deb version; do
			[[ " ${SKIP//[$'\n\t']/ } " != *" $deb "* ]] || continue
			# apt names the files NAME_VERSION_ARCH.deb with ':' escaped
			set -- "$CACHE/debs/${deb}_${version//:/%3a}"_*.deb
			[ -f "$1" ] || { echo "image: package '$deb' $version was not downloaded" >&2 && exit 1; }
			dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink --no-same-owner -C "$root"
		done <"$list"
		trim "$root"
		pack "$root" "$work/toolchain.tar"
		mv "$work/toolchain.tar" "$CACHE/toolchain-$key.tar.$$"
		mv "$CACHE/toolchain-$key.tar.$$" "$CACHE/toolchain-$key.tar"
	fi
	ln -s "$CACHE/toolchain-$key.tar" "$work/toolchain.tar"
}

# What no build of a module reads; it is most of the bytes.
trim() {
	local root=${1:?}
	ln -sf dash "$root/usr/bin/sh"
	ln -sf mawk "$root/usr/bin/awk"
	rm -rf "${root:?}"/{boot,home,media,mnt,opt,root,srv} "${root:?}"/usr/{games,local,src,include/c++} \
		"$root"/usr/share/{doc,man,info,locale,lintian,bug,doc-base,menu,zoneinfo,bash-completion,gdb,common-licenses} \
		"$root"/var/{cache,log,mail,backups,spool,local,lib/dpkg,lib/apt,lib/pam} "$root"/usr/lib/{apt,dpkg,systemd,udev,init} \
		"$root/$LIBDIR"/{gconv,security,perl-base/unicore} "$root"/etc/{cron.daily,init.d,pam.d,apt,dpkg,systemd,kernel}
	rm -f "$root"/usr/lib/gcc/*/12/{lto1,lto-wrapper,g++-mapper-server,lib[ahltuw]*san*,libasan*,liblsan*,libtsan*,libubsan*,libhwasan*,libitm*,libquadmath*,libgomp*,libatomic*} \
		"$root"/usr/bin/{*lto-dump*,*gcov*,*gprof*,*dwp*,*gold*,*gp-*,*-elfedit,localedef,*ld.gold} \
		"$root/$LIBDIR"/{libasan*,liblsan*,libtsan*,libubsan*,libhwasan*,libitm*,libgprofng*,libc.a,libm-*.a,libmvec.a,libm.a}
	find "$root" -perm /6000 -type f -exec chmod u-s,g-s {} +
}

layer_digest() { sha256sum "$1" | cut -d' ' -f1; }

archive() { # archive NAME OUT.tar ENV-JSON LAYER.tar...
	local name=$1 out=$2 env=$3 dir diffs="" layers="" members=(manifest.json config.json) layer d
	shift 3
	dir=$(mktemp -d "$work/archive.XXXXXX")
	for layer in "$@"; do
		d=$(layer_digest "$layer")
		ln -s "$(readlink -f "$layer")" "$dir/$d.tar"
		members+=("$d.tar")
		diffs+="${diffs:+,}\"sha256:$d\"" layers+="${layers:+,}\"$d.tar\""
	done
	cat >"$dir/config.json" <<-J
		{"architecture":"$ARCH","os":"linux","created":"1970-01-01T00:00:00Z",
		"config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"$env],"WorkingDir":"/",
		"Labels":{"org.opencontainers.image.title":"farrier","org.opencontainers.image.version":"$VERSION","org.opencontainers.image.licenses":"Apache-2.0"}},
		"rootfs":{"type":"layers","diff_ids":[$diffs]}}
	J
	printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":[%s]}]' "$name" "$layers" >"$dir/manifest.json"
	tar --format=gnu --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w --mtime=@0 -h -C "$dir" -cf "$out.$$" "${members[@]}"
	mv "$out.$$" "$out"
	printf '  %-46s %4d MB  %s\n' "$name" $(($(stat -c %s "$out") >> 20)) "$out"
}

plugin_layer
archive "$REPOSITORY/farrier-device-plugin:$VERSION" "$B/images/farrier-device-plugin.tar" '' "$work/plugin.tar"
[ $want_slim = 1 ] || exit 0
slim_layer
archive "$REPOSITORY/farrier:$VERSION" "$B/images/farrier.tar" '' "$work/slim.tar"
if [ $want_shim = 1 ]; then
	[ -f "$B/shim/libkernel.so" ] || { echo "image: $B/shim/libkernel.so is not there" >&2 && exit 3; }
	mkdir -p "$work/shim/usr/lib/farrier/shim"
	cp "$B/shim/libkernel.so" "$work/shim/usr/lib/farrier/shim/"
	chmod 755 "$work"/shim/usr/lib/farrier/shim/libkernel.so
	pack "$work/shim" "$work/shim.tar"
	archive "$REPOSITORY/farrier-shim:$VERSION" "$B/images/farrier-shim.tar" \
		',"LD_PRELOAD=/usr/lib/farrier/shim/libkernel.so"' "$work/slim.tar" "$work/shim.tar"
fi
if [ $want_toolchain = 1 ]; then
	toolchain_layer
	archive "$REPOSITORY/farrier-toolchain:$VERSION" "$B/images/farrier-toolchain.tar" '' "$work/toolchain.tar" "$work/slim.tar"
fi
