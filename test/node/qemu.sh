#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a guest's QEMU, and again after each reboot, with the kernel that the guest then wants: the one that its
# /vmlinuz points to, which the guest names on its console when it goes down (guest/boot-next). A guest that ends
# otherwise (power off, panic) stays down. Started by up.sh, in the control plane's network.
# usage: qemu.sh STATE_DIR GOLDEN_DIR INDEX
# env:   MEM=3072 (MiB)  CARDS="e0:rp0 e1:rp1"  APPEND="more kernel arguments"  QEMU_ARGS="more arguments"
set -uo pipefail
st=$1 golden=$2 i=$3
name=${st##*/vm-}
mem=${MEM:-3072}
half=$((mem / 2))
cards=()
for c in ${CARDS-e0:rp0 e1:rp1}; do cards+=(-device "edu,id=${c%%:*},bus=${c#*:}"); done
# Cards on pcie.0 have no NUMA node; rp0 and rp2 are on node 0, rp1 and rp3 on node 1.
# Every device needs bus=pcie.0 once there is a pxb-pcie.
machine=(-machine q35 -accel tcg,thread=multi,tb-size=1024 -cpu max -m "${mem}M" -smp 4
	-object "memory-backend-memfd,id=m0,size=${half}M,share=on" -object "memory-backend-memfd,id=m1,size=${half}M,share=on"
	-numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,cpus=2-3,memdev=m1
	-device pxb-pcie,id=pxb0,bus_nr=32,numa_node=0,bus=pcie.0 -device pxb-pcie,id=pxb1,bus_nr=64,numa_node=1,bus=pcie.0
	-device pcie-root-port,id=rp0,bus=pxb0,slot=1,chassis=1 -device pcie-root-port,id=rp2,bus=pxb0,slot=2,chassis=1
	-device pcie-root-port,id=rp1,bus=pxb1,slot=1,chassis=2 -device pcie-root-port,id=rp3,bus=pxb1,slot=2,chassis=2
	"${cards[@]}" -display none -no-reboot -nodefaults
	-chardev "file,id=c0,path=$st/console.log" -serial chardev:c0
	-chardev "socket,id=c1,path=$st/shell.sock,server=on,wait=off"
	-device virtio-serial-pci,id=vs,bus=pcie.0,addr=0x10 -device virtserialport,bus=vs.0,chardev=c1,name=shell
	-qmp "unix:$st/qmp.sock,server=on,wait=off" -device virtio-rng-pci,bus=pcie.0,addr=0x11
	-netdev "tap,id=n0,ifname=tap-$name,script=no,downscript=no"
	-device "virtio-net-pci,netdev=n0,bus=pcie.0,addr=0x14,mac=$(printf 52:54:00:77:00:%02x "$i")")
# The guest's disks, in the order of vda, vdb, ...: root, configuration, containerd's store, Debian packages.
disk() { # disk LETTER FILE FORMAT READONLY
	machine+=(-drive "file=$2,if=none,id=d$1,format=$3,cache=unsafe,readonly=$4"
		-device "virtio-blk-pci,drive=d$1,bus=pcie.0,addr=0x$5")
}
disk a "$st/disk.qcow2" qcow2 off 12
disk b "$st/cfg.tar" raw on 13
disk c "$st/store.qcow2" qcow2 off 15
disk d "$golden/debs.img" raw on 16
args="console=ttyS0 quiet panic=-1 root=/dev/vda nokaslr mitigations=off tsc=reliable apparmor=0 audit=0 net.ifnames=0"
args+=" random.trust_cpu=on rcupdate.rcu_expedited=1 cryptomgr.notests nowatchdog preempt=none lsm=capability"
args+=" systemd.show_status=0"
while :; do
	abi=$(cat "$st/kernel")
	rm -f "$st"/*.sock
	[ ! -e "$st/console.log" ] || cat "$st/console.log" >>"$st/console.all"
	: >"$st/console.log"
	echo "$EPOCHREALTIME" >"$st/started"
	# shellcheck disable=SC2086
	qemu-system-x86_64 "${machine[@]}" -kernel "$golden/vmlinux-$abi" -initrd "$golden/initrd-$abi.gz" \
		-append "$args ${APPEND:-}" ${QEMU_ARGS:-} >"$st/qemu.log" 2>&1 </dev/null &
	echo $! >"$st/qemu.pid"
	wait $!
	next=$(tr -d '\r' <"$st/console.log" | sed -n 's#^.*BOOT-NEXT .*vmlinuz-\(.*\)$#\1#p' | tail -1)
	[ -n "$next" ] && [ -e "$golden/vmlinux-$next" ] || break
	echo "$next" >"$st/kernel"
done
rm -f "$st/qemu.pid" "$st/loop.pid"
