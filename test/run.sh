#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make test: everything that CI runs, from nothing. Each stage says how long it took; one that fails does not stop the
# others; the last line is "N passed, N failed, N skipped" and the exit status says the same.
# usage: run.sh [--long] [STAGE...]     stages: setup build lint kernels unit fuzz image cluster chart plugin vendors agent topology e2e
#        --long adds: sim arm64 registry fuzzing plugin-long matrix standalone e2e-long gang volcano k8s-1.36
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. test/lib.sh
long=0 only=()
for a; do
	case $a in
	--long) long=1 ;;
	-*) echo "usage: run.sh [--long] [STAGE...]" >&2; exit 2 ;;
	*) only+=("$a") ;;
	esac
done
logs=$PWD/build/test-logs
mkdir -p "$logs"
t0=$(now) passed=0 failed=0 skipped=0 summary=()

# Results are told in one of two ways, which may be mixed: lines "ok NAME", "not ok NAME", "skip NAME"; or a last line
# "N passed, N failed, N skipped".
count() { # count LOG STATUS: sets p f k
	local last _
	last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$1" | tail -1)
	if [ -n "$last" ]; then
		read -r p _ f _ k _ <<<"$last"
	elif grep -qaE '^\[==========\] ' "$1"; then # cmocka's
		p=$(grep -ac '^\[       OK \]' "$1") f=$(grep -acE '^\[  FAILED  \] [a-z_A-Z0-9]*$' "$1") k=0
	else
		p=$(grep -acE '^ok ' "$1") f=$(grep -acE '^not ok ' "$1") k=$(grep -acE '^skip ' "$1")
	fi
	[ "$2" = 0 ] || [ "$f" -gt 0 ] || f=1
	[ $((p + f + k)) -gt 0 ] || p=1 # a stage without cases of its own is one
}
stage() { # stage NAME CMD...
	local name=$1 log=$logs/$1.log s=$SECONDS rc=0 pid p f k
	shift
	[ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $name "* ]] || return 0
	printf '== %s\n' "$name"
	if [ ! -e "$1" ] && ! command -v "$1" >/dev/null; then
		echo "skip $name: $1 is not there" | tee "$log"
	else
		"$@" >"$log" 2>&1 &
		pid=$!
		while kill -0 $pid 2>/dev/null; do # a sign of life with the last line, every 15 s
			for _ in $(seq 75); do
				kill -0 $pid 2>/dev/null || break
				sleep 0.2
			done
			kill -0 $pid 2>/dev/null && printf '   ... %4d s  %s\n' $((SECONDS - s)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-90)"
		done
		wait $pid || rc=$?
	fi
	count "$log" $rc
	if [ $rc != 0 ] || [ "$f" -gt 0 ]; then
		grep -aE '^not ok ' "$log" | head -40
		tail -n 25 "$log" | sed 's/^/   | /'
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + k))
	summary+=("$(printf '%-10s %5d s  %4d passed, %d failed, %d skipped' "$name" $((SECONDS - s)) "$p" "$f" "$k")")
	echo "   ${summary[-1]}"
}

stage setup hack/setup.sh
stage build make -s -j"$(nproc)" all
stage lint hack/lint.sh
stage kernels test/node/fetch-kernels.sh # the unit tests of builds want them
stage unit make -s -j"$(nproc)" check
stage fuzz test/fuzz/run.sh --smoke
stage image bash -c 'hack/image.sh && test/plugin/image.sh'
stage cluster test/cluster/build.sh
stage chart test/chart/run.sh
stage plugin test/plugin/run.sh
stage vendors test/vendors/run.sh
stage agent test/agent/run.sh
stage topology test/agent/topology.sh
stage e2e test/e2e/run.sh
if [ $long = 1 ]; then
	stage sim env SEEDS=10000 build/unit/controller/test_sim
	stage arm64 hack/arm64.sh
	stage registry test/registry/run.sh
	stage fuzzing test/fuzz/run.sh --seconds 120
	stage plugin-long env LONG=1 test/plugin/run.sh dead_stream connects no_memory
	stage matrix test/matrix/run.sh --big
	stage standalone test/standalone/run.sh
	stage e2e-long env TIMES=20 test/e2e/run.sh road policies cards kills lost rolling survive reboots required cut wave wave-kills registry details
	stage gang env K8S_VERSION=v1.36.3 test/e2e/run.sh gang # the first one with gangs of its own
	stage volcano test/e2e/run.sh volcano
	# Everything on a cluster of another minor version.
	stage k8s-1.36 env K8S_VERSION=v1.36.3 test/e2e/run.sh road offline inputs policies cards survive wave uninstall
fi

echo
printf '%s\n' "${summary[@]}"
echo "everything: $(since "$t0") s, logs in $logs"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed -gt 0 ]
