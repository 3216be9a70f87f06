#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make bench: figures, each beside its peer's from the same run on the same machine:
#   build       farrier-driver-builder build against plain make and DKMS of the same tree, for the same kernel (medians)
#   second      the next kernel where the CRCs are the same, against its build; the proof of nvidia-open's modules
#   allocate    microseconds of an Allocate call, against the upstream sample plugin, asked by the kubelet's own client
#   plugin      preferred sets, CPU at rest, registration, 3,008 devices (plugin.sh)
#   memory      RSS and anonymous memory of the three processes, and of the sample plugin
#   scale       the controller against a client-go informer: 1,000 nodes on kube-apiserver (REAL_NODES="1000 10000": more),
#               1,000 and 100,000 on a stand-in of it (scale.sh)
# Prints a table; rows for docs/figures.md go to build/bench.md.  usage: run.sh [RUNS=5]    root
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/lib.sh
runs=${1:-5} abi=6.1.0-47-amd64
if [ -z "${FARRIER_BENCH_ROOT:-}" ]; then
	root=$(test/node/fetch-kernels.sh)
	make -s -j"$(nproc)" all
	make -s -C test/shim
	test/go/build.sh >/dev/null
	FARRIER_BENCH_ROOT=$root exec unshare --mount --propagation private "$0" "$@"
fi
root=$FARRIER_BENCH_ROOT bin=$PWD/build tools=$(test/go/build.sh) w=$(mktemp -d /tmp/farrier-bench.XXXXXX) pids=()
shim=$PWD/build/shim/libkernel.so fixed=/var/lib/kubelet/device-plugins
export RUN=$w/cluster
cleanup() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	[ ! -d "$RUN" ] || test/cluster/down.sh
	umount "$root" "$w/lower" "$fixed" 2>/dev/null || true
	rmdir -p "$fixed" 2>/dev/null || true
	rm -rf --one-file-system "$w"
}
trap cleanup EXIT
rows=()
row() { # row WHAT OURS PEER
	rows+=("$1|$2|$3|$(awk -v a="$2" -v b="$3" 'BEGIN { if (a + 0 > 0 && b + 0 > 0) printf "%.2f", a / b; else print "-" }')")
	echo "   $1: ours $2, peer $3" >&2
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
timed() { # timed CMD...: seconds
	local s=$EPOCHREALTIME
	"$@" >"$w/log" 2>&1 || { cat "$w/log" >&2; return 1; }
	since2 "$s"
}
since2() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", b - a }'; }
memory() { # memory PID: "RSS / anonymous" in MB
	awk '/^VmRSS/ { r = $2 } /^RssAnon/ { a = $2 } END { printf "%.1f / %.1f", r / 1024, a / 1024 }' "/proc/$1/status"
}

# A writable layer over the kernels' tree, and a kernel made of files.
mkdir -p "$w"/{up,wk,lower,state,run,drivers,classes,kubelet,cdi}
mount --bind "$root" "$w/lower"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$w/up,workdir=$w/wk" "$root"
mkdir -p "$root/usr/src/edu-1.0" "$root/etc"
cp test/drivers/edu/* "$root/usr/src/edu-1.0/"

echo "== build, $runs runs each" >&2
plain() {
	rm -rf "$w/tree"
	cp -r test/drivers/edu "$w/tree"
	make -s -j"$(nproc)" -C "$root/usr/src/linux-headers-$abi" M="$w/tree" modules
}
ours() {
	rm -rf "$w/st"
	"$bin/farrier-driver-builder" build --source "$root/usr/src/edu-1.0" --kernel $abi --root "$root" --state "$w/st" --run "$w/rn"
}
dkms() { # Debian's, unpacked
	rm -rf "$w/dkms"
	mkdir "$w/dkms"
	bash "$packages/usr/sbin/dkms" build -m edu -v 1.0 -k $abi --kernelsourcedir "$root/usr/src/linux-headers-$abi" \
		--dkmstree "$w/dkms" --sourcetree "$root/usr/src" --no-depmod -j "$(nproc)"
}
packages=$(test/matrix/fetch.sh)
plain >/dev/null # warms the page cache for all
for _ in $(seq "$runs"); do timed plain >>"$w/plain"; timed ours >>"$w/ours"; timed dkms >>"$w/bydkms"; done
row "build of edu, s (peer: make)" "$(median <"$w/ours")" "$(median <"$w/plain")"
row "build of edu, s (peer: DKMS)" "$(median <"$w/ours")" "$(median <"$w/bydkms")"

echo "== second kernel" >&2
# Its headers give the same CRCs: nothing is compiled. Their own root, the other tests' kernels are not theirs to choose.
mkdir -p "$FARRIER_CACHE/pair"
pair=$(FARRIER_CACHE=$FARRIER_CACHE/pair test/node/fetch-kernels.sh 6.1.0-55-amd64 6.1.0-56-amd64)
second() { # second STATE: builds for 6.1.0-56, told as JSON
	"$bin/farrier-driver-builder" build --source test/drivers/edu --kernel 6.1.0-56-amd64 --root "$pair" --state "$1" --run "$w/rn" --json
}
took() { sed -n 's/.*"tookMilliseconds": *\([0-9]*\).*/\1/p'; }
for n in $(seq "$runs"); do
	"$bin/farrier-driver-builder" build --source test/drivers/edu --kernel 6.1.0-55-amd64 --root "$pair" --state "$w/pair.$n" --run "$w/rn" >/dev/null
	second "$w/pair.$n" >"$w/log"
	grep -q '"reused": *true' "$w/log" || { echo "it was compiled: $(cat "$w/log")" >&2; exit 1; }
	took <"$w/log" >>"$w/second"
	second "$w/alone.$n" | took >>"$w/alone"
done
row "6.1.0-56 after -55 without a compile, ms as the build counts it (peer: ours with one)" "$(median <"$w/second")" "$(median <"$w/alone")"
big=$(find "$FARRIER_CACHE"/alone-state-nvidia-open-*/state/store -path '*/modules/nvidia*.ko' 2>/dev/null | head -1)
if [ -n "$big" ]; then
	for _ in $(seq "$runs"); do
		timed "$bin/farrier-driver-builder" verify "${big%/*}"/*.ko --kernel $abi --root "$root" >>"$w/verify"
	done
	row "proof of the $(find "${big%/*}" -name '*.ko' | wc -l) modules of nvidia-open, whole command, s (goal 0.2)" "$(median <"$w/verify")" "-"
else
	echo "   no proof of nvidia-open: make demo-standalone builds its modules" >&2
fi

echo "== allocate" >&2
test/shim/make-tree.sh "$w/shim" new $abi >/dev/null
export FARRIER_SHIM_DIR=$w/shim
sed -n '/^kind: AcceleratorDriver/,/^---/p' test/e2e/objects/edu.yaml | sed '/^---/d; s/toolchain: Host/toolchain: Self/; 1i apiVersion: farrier.dev/v1alpha1' >"$w/drivers/edu.yaml"
sed -n '/^kind: AcceleratorClass/,$p' test/e2e/objects/edu.yaml | sed '1i apiVersion: farrier.dev/v1alpha1' >"$w/classes/edu.yaml"
LD_PRELOAD=$shim "$bin/farrier-driver-builder" run --standalone --root "$root" --state "$w/state" --run "$w/run" \
	--manifests "$w/drivers" 2>"$w/agent.log" &
agent=$!
pids+=("$agent")
WAIT_STEP=0.2 wait_for 120 "the driver" grep -q ModuleLoaded "$w/agent.log" || { tail -5 "$w/agent.log" >&2; exit 1; }
mkfifo "$w/ask"
"$tools/kubeletstub" "$w/kubelet" <"$w/ask" >"$w/stub.log" 2>/dev/null &
pids+=("$!")
exec 3>"$w/ask"
wait_for 20 "the kubelet's server" grep -q '"event":"started"' "$w/stub.log"
LD_PRELOAD=$shim "$bin/farrier-device-plugin" --classes "$w/classes" --kubelet-dir "$w/kubelet" --cdi-dir "$w/cdi" \
	--run "$w/run" 2>"$w/plugin.log" &
plugin=$!
pids+=("$plugin")
mkdir -p "$fixed" # the sample plugin looks for the kubelet there and nowhere else
mount --bind "$w/kubelet" "$fixed"
PLUGIN_SOCK_DIR=$fixed "$tools/sample-device-plugin" >"$w/sample.log" 2>&1 &
sample=$!
pids+=("$sample")
listed() { grep '"event":"list"' "$w/stub.log" | grep "\"$1\"" | grep -q Healthy; }
wait_for 30 "our list" listed farrier.dev/edu || { tail -n 3 "$w/plugin.log" "$w/stub.log" >&2; exit 1; }
wait_for 30 "the sample's list" listed example.com/resource || { tail -n 3 "$w/sample.log" "$w/stub.log" >&2; exit 1; }
allocate() { # allocate RESOURCE ID: median microseconds of three rounds of 1000 calls
	local n
	for _ in 1 2 3; do
		n=$(grep -c '"event":"\(answer\|error\)"' "$w/stub.log" || true)
		echo "bench $1 $2 1000" >&3
		answered() { [ "$(grep -c '"event":"\(answer\|error\)"' "$w/stub.log")" -gt "$n" ]; }
		wait_for 60 "bench $1" answered
		grep '"event":"\(answer\|error\)"' "$w/stub.log" | tail -1 | $PY -c 'import json, sys
a = json.loads(sys.stdin.read())
a = a.get("answer", a)
print(next(a[k] for k in ("p50", "median", "p50us", "median_us") if k in a) if isinstance(a, dict) else a)'
	done | median
}
id=$(grep '"event":"list"' "$w/stub.log" | grep farrier.dev/edu | grep -o '0000:[0-9a-f:.]* Healthy' | head -1 | cut -d' ' -f1)
row "Allocate, us (peer: sample plugin)" "$(allocate farrier.dev/edu "$id")" "$(allocate example.com/resource Dev-1)"

echo "== memory" >&2
sleep 2
row "device plugin, MB RSS / anonymous (peer: sample plugin)" "$(memory $plugin)" "$(memory $sample)"
row "node agent, MB RSS / anonymous" "$(memory $agent)" "-"
yielded() { awk '/^voluntary/ { print $2 }' "/proc/$agent/status"; }
before=$(yielded)
sleep 60
row "node agent at rest, times it gave up the CPU in a minute, two polls and what they read" "$(($(yielded) - before))" "-"
unset FARRIER_SHIM_DIR
test/cluster/up.sh 0 >&2
for f in manifests/chart/files/crds/*.farrier.dev.yaml; do test/cluster/kubectl apply -f "$f" >/dev/null; done
test/cluster/kubectl create namespace farrier-system >/dev/null
test/cluster/exec.sh - "$bin/farrier-controller" --kubeconfig "$RUN/admin.kubeconfig" --namespace farrier-system --lease bench \
	2>"$w/controller.log" &
controller=$!
pids+=("$controller")
sleep 8
row "controller, MB RSS / anonymous (empty cluster)" "$(memory $controller)" "-"
rm -f /tmp/Dev-1 /tmp/Dev-2 # the sample plugin makes them

echo "== plugin, by itself" >&2
CALLS=2000 test/bench/plugin.sh >"$w/plugin.rows"
while read -r what a b ratio unit; do rows+=("$what, $unit|$a|$b|$ratio"); done <"$w/plugin.rows"
kill "$controller" # before its server
test/cluster/down.sh
echo "== controller at scale" >&2
read -ra real <<<"${REAL_NODES:-1000}"
test/bench/scale.sh --real "${real[@]}" >"$w/scale.rows"
test/bench/scale.sh 1000 100000 >>"$w/scale.rows"
while IFS= read -r line; do rows+=("$line"); done <"$w/scale.rows"

date=$(date -u +%F) commit=$(git rev-parse --short HEAD 2>/dev/null || echo '?')
machine="$(nproc) CPUs, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
: >build/bench.md
for r in "${rows[@]}"; do
	IFS='|' read -r what a b ratio <<<"$r"
	printf '%-58s %14s %14s %7s\n' "$what" "$a" "$b" "$ratio"
	echo "| $date | $commit | $machine | $what | $a | $b | $ratio |" >>build/bench.md
done
