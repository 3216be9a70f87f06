#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Drivers of Debian's own packages, unmodified, for three kernels: each pair is ready or has the right typed reason
# (table); the modules are those that Debian's dkms makes of the same tree, by name and srcversion. One line a pair.
# usage: run.sh [--big] [DRIVER...]     --big: those that take minutes too
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
. test/lib.sh
big=0 only=()
for a; do
	case $a in
	--big) big=1 ;;
	-*) echo "usage: run.sh [--big] [DRIVER...]" >&2; exit 2 ;;
	*) only+=("$a") ;;
	esac
done
[ "$(id -u)" = 0 ] || { echo "skip matrix: needs root"; exit 0; }
[ -x build/farrier-driver-builder ] || make -s -j"$(nproc)" build/farrier-driver-builder || exit 1
drivers=$(test/matrix/fetch.sh) && kroot=$(test/node/fetch-kernels.sh) || exit 1
# A root of its own: the other tests' next kernel is the newest of theirs.
mkdir -p "$FARRIER_CACHE/matrix"
newer=$(FARRIER_CACHE=$FARRIER_CACHE/matrix test/node/fetch-kernels.sh 6.12.117+deb12-amd64) ||
	echo "skip 6.12.117+deb12-amd64: no longer to be had"
w=$(mktemp -d /var/tmp/farrier-matrix.XXXXXX)
trap 'rm -rf --one-file-system "$w"' EXIT
mkdir -p "$w"/src "$w"/dkms
cp -r test/drivers/edu "$w/src/edu-1.0"
for d in "$drivers"/usr/src/*; do ln -s "$d" "$w/src/${d##*/}"; done
declare -A folder=([edu]=edu-1.0)
for n in v4l2loopback evdi dpdk-kmods; do folder[$n]=$(cd "$w/src" && ls -d "$n"-*); done
folder[nvidia-open]=$(cd "$w/src" && ls -d nvidia-current-open-*)
failed=0
outcome() { # outcome ok|"not ok" TEXT
	echo "$1 matrix: $2"
	[ "$1" = ok ] || failed=1
}
field() { $PY -c 'import json, sys
v = json.load(open(sys.argv[1])).get(sys.argv[2], "")
print(" ".join(v) if isinstance(v, list) else v)' "$w/ours.json" "$1"; }
modules() { # modules FILE...: "name srcversion" of each, sorted
	local f
	for f; do echo "$(modinfo -F name "$f") $(modinfo -F srcversion "$f")"; done | sort
}
# A tree's own Makefile may look for the headers below /lib/modules, whatever DKMS is told: they are shown to it there.
by_dkms() { # by_dkms FOLDER ROOT KERNEL: builds as DKMS does, for the same headers
	local conf=$w/src/$1/dkms.conf name version
	name=$(kernelver=$3 bash -c '. "$0" >/dev/null 2>&1; echo "$PACKAGE_NAME"' "$conf")
	version=$(kernelver=$3 bash -c '. "$0" >/dev/null 2>&1; echo "$PACKAGE_VERSION"' "$conf")
	rm -rf "$w/dkms"
	mkdir -p "$w/dkms"
	unshare --mount bash -c 'mount -t overlay -o "lowerdir=$0/lib:/usr/lib" overlay /usr/lib && exec "$@"' "$2" \
		bash "$drivers/usr/sbin/dkms" build -m "$name" -v "$version" -k "$3" --kernelsourcedir "$2/usr/src/linux-headers-$3" \
		--dkmstree "$w/dkms" --sourcetree "$w/src" --no-depmod \
		-j "$(nproc)" >"$w/dkms.log" 2>&1
}
verify_ms() { # verify_ms ROOT KERNEL: CPU milliseconds of the proof of all that was built, the best of five
	local n
	for n in 1 2 3 4 5; do
		(TIMEFORMAT='%3U %3S'; time build/farrier-driver-builder verify "$w"/out/*.ko --kernel "$2" --root "$1" >"$w/verify.log" 2>&1) 2>&1 || return
	done | awk '{ ms = ($1 + $2) * 1000; if (NR == 1 || ms < best) best = ms } END { printf "%d", best }'
}
pair() { # pair DRIVER KERNEL OUTCOME WORDS
	local root=$kroot got s=$EPOCHREALTIME text d ms
	[[ $2 == 6.1.* ]] || root=$newer
	[ -n "$root" ] || return 0
	rm -rf "$w/out"
	build/farrier-driver-builder build --source "$w/src/${folder[$1]}" --kernel "$2" --root "$root" --state "$w/state" \
		--run "$w/run" --out "$w/out" --json >"$w/ours.json" 2>"$w/ours.log"
	got=$(field reason) text="$1 for $2"
	[ "${got:-Ready}" = "$3" ] || { outcome "not ok" "$text: ${got:-Ready} and not $3: $(field error)"; return; }
	if [ "$3" != Ready ]; then
		field error | grep -qF -- "$4" || { outcome "not ok" "$text: '$(field error)' does not say '$4'"; return; }
		outcome ok "$text: $3: $(field error | cut -c1-120) ($(since "$s") s)"
		return
	fi
	s="$(since "$s") s"
	ms=$(verify_ms "$root" "$2")
	[ "${ms:-999}" -le $((200 * ${FARRIER_SLOW:-1})) ] || { outcome "not ok" "$text: verified in ${ms:-?} ms: $(tail -1 "$w/verify.log")"; return; }
	d=$EPOCHREALTIME
	by_dkms "${folder[$1]}" "$root" "$2" || { outcome "not ok" "$text: DKMS itself fails: $(tail -1 "$w/dkms.log")"; return; }
	d=$(since "$d")
	modules "$w/out"/*.ko >"$w/ours.list"
	# shellcheck disable=SC2046
	modules $(find "$w/dkms" -path '*/module/*.ko*') >"$w/dkms.list"
	cmp -s "$w/ours.list" "$w/dkms.list" ||
		{ outcome "not ok" "$text: other modules than DKMS: $(diff "$w/ours.list" "$w/dkms.list" | tr '\n' ' ')"; return; }
	outcome ok "$text: Ready, $(wc -l <"$w/ours.list") modules equal to DKMS's ($s, DKMS $d s, verified in $ms ms)"
}
while read -r driver size kernel want words; do
	case $driver in '' | '#'*) continue ;; esac
	[ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $driver "* ]] || continue
	[ "$size" = small ] || [ $big = 1 ] || continue
	pair "$driver" "$kernel" "$want" "$words"
done <test/matrix/table
exit $failed
