#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The machine's disk: the Debian tree, Farrier as `make install` puts it, drivers with their sources and manifests. A big
# driver is built here, outside, for both kernels with `build --driver --root` on the machine's own tree: under emulation
# it would take hours. What came of it is the machine's /var/lib/farrier. Prints what each of these builds said.
# usage: mkdisk.sh BASE SMALL_DRIVER... [--outside BIG_DRIVER] [--grub FOLDER]       writes $S/disk.img
#        --grub: with a boot loader of its own, from mkgrub.sh's FOLDER, and its root in the first partition
set -euo pipefail
. "$(dirname "$0")/lib.sh"
base=$1 small=() big="" grub=""
shift
while [ $# -gt 0 ]; do
	case $1 in
	--outside) big=$2; shift ;;
	--grub) grub=$2; shift ;;
	*) small+=("$1") ;;
	esac
	shift
done
mkdir -p "$S/tree"/{up,work,merged,up2,work2,merged2} "$S/state" "$S/outside"
tree=$S/tree packages=""
if [ "$big" = nvidia-open ]; then packages=$("$SRC/test/matrix/fetch.sh"); fi

farrier() { "$SRC/build/farrier-driver-builder" "$@"; }
# Kept by what decides it: what builds and records, the package, the compiler and both kernels.
outside_key() {
	(cd "$SRC/driver-builder" && cat build*.c dkms.c key.c print.c records.c source.c toolchain.c cli_driver.c "$alone/drivers/$big.yaml") |
		digest_of "$big" "$packages" "$base"
}
outside() { # outside ROOT RELEASE: one build; what it said goes to $S/outside/RELEASE
	local s=$EPOCHREALTIME rc=0
	farrier build --driver "$big" --kernel "$2" --root "$1" --state "$S/state" --run "$S/run" --manifests "$alone/drivers" \
		--json >"$S/outside/$2.json" 2>>"$S/outside/log" || rc=$?
	[ $rc -le 1 ] || { cat "$S/outside/log" >&2; return $rc; }
	since "$s" >"$S/outside/$2.seconds"
}
in_namespace() {
	local m=$tree/merged x
	mount --make-rprivate /
	mount -t overlay -o "lowerdir=${grub:+$grub/up:}$base/up:$(cat "$base/rootfs"),upperdir=$tree/up,workdir=$tree/work" overlay "$m"
	(cd "$SRC" && hack/install.sh "$m" >/dev/null)
	ln -sf /lib/systemd/system/farrier-driver-builder.service "$m/etc/systemd/system/multi-user.target.wants/"
	mkdir -p "$m/usr/src/edu-1.0" "$m/usr/src/fbar-1.0"
	cp "$SRC"/test/drivers/edu/* "$m/usr/src/edu-1.0/"
	cp "$SRC"/test/drivers/broken-next/* "$m/usr/src/fbar-1.0/"
	# Beside it one with the fault of the other, which a macro takes out: a driver with a device that the next kernel cannot have.
	cp -r "$m/usr/src/edu-1.0" "$m/usr/src/edu-keep-1.0"
	cat >>"$m/usr/src/edu-keep-1.0/edu.c" <<-'C'
		#ifndef EDU_FIXED
		static int __maybe_unused edu_resize(struct pci_dev *pdev)
		{
			return pci_resize_resource(pdev, 2, 0);
		}
		#endif
	C
	# Whole seconds: the disk keeps no others, and a changed time would be a changed source.
	find "$m"/usr/src/{edu,edu-keep,fbar}-1.0 -exec touch -d @1700000000 {} +
	# It asks twenty times a second, which the emulated machine would notice.
	[ -n "$big" ] || rm "$m/etc/systemd/system/multi-user.target.wants/farrier-answers.service"
	for x in "${small[@]}" $big; do cp "$alone/drivers/$x.yaml" "$m/etc/farrier/drivers.d/"; done
	if [ -n "$big" ]; then
		[ -z "$packages" ] || cp -a "$packages"/usr/src/nvidia-* "$m/usr/src/"
		if [ -e "$cached/.complete" ]; then
			cp -a "$cached/state/." "$S/state/"
			cp -a "$cached/outside/." "$S/outside/"
		else
			outside "$m" $OLD
			# The next kernel, as it will lie on this disk.
			mount -t overlay -o "lowerdir=$base/next:$m,upperdir=$tree/up2,workdir=$tree/work2" overlay "$tree/merged2"
			outside "$tree/merged2" $NEW
			umount "$tree/merged2"
			rm -rf "$FARRIER_CACHE/alone-state-$big-"* # of another program
			mkdir -p "$cached"
			cp -a "$S/state" "$S/outside" "$cached/"
			# What did not come out as it must is tried again.
			! grep -q '"reason": ""' "$S/outside/$OLD.json" || ! grep -q '"reason": "BuildFailed"' "$S/outside/$NEW.json" || : >"$cached/.complete"
		fi
		mkdir -p "$m/var/lib/farrier"
		cp -a "$S/state/." "$m/var/lib/farrier/"
	fi
	if [ -n "$grub" ]; then
		cp "$grub/head.img" "$S/disk.img"
		mke2fs -q -t ext4 -F -L alone -E lazy_itable_init=1,offset=1048576 -O ^metadata_csum -d "$m" "$S/disk.img" 6143M
		truncate -s 6G "$S/disk.img"
	else
		mke2fs -q -t ext4 -F -L alone -E lazy_itable_init=1 -O ^metadata_csum -d "$m" "$S/disk.img" 6G
	fi
	umount "$m"
}
cached=""
[ -z "$big" ] || cached=$FARRIER_CACHE/alone-state-$big-$(outside_key)
export S SRC base tree big grub packages alone cached OLD NEW FARRIER_CACHE
unshare --mount --fork bash -euo pipefail -c "$(declare -f farrier outside since in_namespace); small=(${small[*]}); in_namespace" \
	>"$S/mkdisk.log" 2>&1 || { tail -20 "$S/mkdisk.log" >&2; exit 1; }
rm -rf --one-file-system "$tree"
