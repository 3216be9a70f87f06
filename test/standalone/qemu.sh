#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the guest's QEMU, and again after each reboot, with the kernel that the guest's /vmlinuz points to, as a boot
# loader would: the guest names it on its console when it goes down. A guest that ends otherwise stays down.
# usage: qemu.sh STATE_DIR BASE_DIR [--grub]
#        --grub: the boot loader on the disk decides. A reset is a new start of QEMU then too: SeaBIOS 1.16 loses requests to
#        the disk after a warm one.
set -uo pipefail
st=$1 base=$2
machine=(-machine "q35${3:+,graphics=off}" -accel tcg,thread=multi,tb-size=512 -cpu max -m 2048M -smp 4
	-object "memory-backend-memfd,id=m0,size=1024M,share=on" -object "memory-backend-memfd,id=m1,size=1024M,share=on"
	-numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,cpus=2-3,memdev=m1
	-device pxb-pcie,id=pxb0,bus_nr=32,numa_node=0,bus=pcie.0 -device pxb-pcie,id=pxb1,bus_nr=64,numa_node=1,bus=pcie.0
	-device pcie-root-port,id=rp0,bus=pxb0,slot=1,chassis=1 -device pcie-root-port,id=rp1,bus=pxb1,slot=1,chassis=2
	-device edu,id=e0,bus=rp0 -device edu,id=e1,bus=rp1 -display none -no-reboot -nodefaults -nic none
	-chardev "file,id=c0,path=$st/console.log" -serial chardev:c0
	-chardev "socket,id=c1,path=$st/shell.sock,server=on,wait=off"
	-device virtio-serial-pci,id=vs,bus=pcie.0,addr=0x10 -device virtserialport,bus=vs.0,chardev=c1,name=shell
	-device virtio-rng-pci,bus=pcie.0,addr=0x11
	-drive "file=$st/disk.qcow2,if=none,id=da,format=qcow2,cache=unsafe" -device "virtio-blk-pci,drive=da,bus=pcie.0,addr=0x12${3:+,bootindex=0}"
	-drive "file=$base/debs.img,if=none,id=db,format=raw,readonly=on" -device virtio-blk-pci,drive=db,bus=pcie.0,addr=0x13)
args="console=ttyS0 quiet panic=-1 root=/dev/vda nokaslr mitigations=off tsc=reliable apparmor=0 audit=0"
args+=" random.trust_cpu=on rcupdate.rcu_expedited=1 cryptomgr.notests nowatchdog preempt=none lsm=capability"
args+=" systemd.show_status=0"
while :; do
	if [ "${3:-}" = --grub ]; then
		boot=()
	else
		abi=$(cat "$st/kernel")
		boot=(-kernel "$base/vmlinux-$abi" -initrd "$base/initrd-$abi.gz" -append "$args")
	fi
	rm -f "$st"/*.sock
	[ ! -e "$st/console.log" ] || cat "$st/console.log" >>"$st/console.all"
	: >"$st/console.log"
	echo "$EPOCHREALTIME" >"$st/started"
	qemu-system-x86_64 "${machine[@]}" "${boot[@]}" >"$st/qemu.log" 2>&1 </dev/null &
	echo $! >"$st/qemu.pid"
	wait $! || break
	[ "${3:-}" != --grub ] || continue
	next=$(tr -d '\r' <"$st/console.log" | sed -n 's#^.*BOOT-NEXT .*vmlinuz-\(.*\)$#\1#p' | tail -1)
	[ -n "$next" ] && [ -e "$base/vmlinux-$next" ] || break
	echo "$next" >"$st/kernel"
done
rm -f "$st/qemu.pid" "$st/loop.pid"
