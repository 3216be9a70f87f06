#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `make install` does: programs, units, kernel hooks, manual pages, classes to choose from, empty folders for manifests. Enables and starts nothing.
# usage: install.sh DESTDIR [PREFIX]
set -euo pipefail
cd "$(dirname "$0")/.."
dest=${1-} prefix=${2:-/usr}
for p in driver-builder device-plugin controller; do
	[ -x "build/farrier-$p" ] || { echo "install: build/farrier-$p is not there, run make first" >&2; exit 3; }
	install -D -m 755 "build/farrier-$p" "$dest$prefix/bin/farrier-$p"
done
for unit in manifests/systemd/*.service; do
	mkdir -p "$dest$prefix/lib/systemd/system"
	sed "s|/usr/bin/farrier|$prefix/bin/farrier|" "$unit" >"$dest$prefix/lib/systemd/system/${unit##*/}"
	chmod 644 "$dest$prefix/lib/systemd/system/${unit##*/}"
done
install -D -m 755 manifests/kernel-hooks/postinst.d/zz-farrier "$dest/etc/kernel/postinst.d/zz-farrier"
install -D -m 755 manifests/kernel-hooks/install.d/95-farrier.install "$dest$prefix/lib/kernel/install.d/95-farrier.install"
for page in man/*.8; do
	install -D -m 644 "$page" "$dest$prefix/share/man/man8/${page##*/}"
done
# To copy from: none of them is in force.
for class in manifests/chart/files/classes/*.yaml; do
	install -D -m 644 "$class" "$dest$prefix/share/farrier/classes/${class##*/}"
done
install -d "$dest/etc/farrier/drivers.d" "$dest/etc/farrier/classes.d"
echo "installed below ${dest:-/}: manifests go into /etc/farrier/drivers.d, then systemctl enable --now farrier-driver-builder"
