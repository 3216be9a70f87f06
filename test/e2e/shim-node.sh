#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Run in a namespaced node before its containerd starts (NODE_HOOK of test/cluster/up.sh): gives the node a Debian tree
# of its own at /mnt (kernel, headers, compiler), the faked kernel's files at /var/lib/farrier-shim, and its own /dev.
# usage: shim-node.sh NAME STATE_DIR       env: SHIM_TREE: layers of such a tree (test/node/mkgolden.sh)
set -eu
name=$1 d=$2 src=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$d/root.up" "$d/root.work"
mount -t overlay -o "lowerdir=$SHIM_TREE,upperdir=$d/root.up,workdir=$d/root.work" overlay /mnt
mkdir -p /mnt/usr/src/edu-1.0 /var/lib/farrier-shim
cp "$src"/test/drivers/edu/* /mnt/usr/src/edu-1.0/
"$src/test/shim/make-tree.sh" /var/lib/farrier-shim new "$(ls /mnt/lib/modules | head -1)" 0000:10:01.0=0 0000:20:01.0=1
# Device nodes of one node are no other node's.
mkdir -p "$d/dev"
mount -t tmpfs -o mode=755 tmpfs "$d/dev"
for f in null zero full random urandom tty ptmx fuse kmsg; do [ ! -e "/dev/$f" ] || cp -a "/dev/$f" "$d/dev/"; done
mkdir -p "$d"/dev/{pts,shm,mqueue,net}
[ ! -e /dev/net/tun ] || cp -a /dev/net/tun "$d/dev/net/"
mount --rbind /dev/pts "$d/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$d/dev/shm"
ln -s /proc/self/fd "$d/dev/fd"
mount --rbind "$d/dev" /dev
echo "$name has a faked kernel"
