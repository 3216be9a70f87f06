#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes what reads bytes from outside, one target after the other, at low priority. The corpus in test/fuzz/corpus is
# only read: each run works on a copy, and what breaks a target is left in build/fuzz/found.
# usage: run.sh [--smoke | --seconds N | --runs N] [TARGET...]     FUZZ_SECONDS (30) each; --smoke: the corpus and 5000 runs
#        --runs N: until each target has had N executions. What was done is kept in FUZZ_STATE (build/fuzz/state), for as
#        long as the target's program is the same: a run that was killed goes on, one that is done only says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
usage() { echo "usage: run.sh [--smoke | --seconds N | --runs N] [TARGET...]" >&2; exit 2; }
limit=(-max_total_time="${FUZZ_SECONDS:-30}") targets=() total=0 chunk=50000
while [ $# -gt 0 ]; do
	case $1 in
	--smoke) limit=(-runs=5000 -max_total_time=4 -seed=1) ;;
	--seconds) limit=(-max_total_time="${2:?}"); shift ;;
	--runs) total=${2:?}; [[ $total =~ ^[1-9][0-9]*$ ]] || usage; shift ;;
	-*) usage ;;
	*) targets+=("${1#fuzz_}") ;;
	esac
	shift
done
passed=0 failed=0 skipped=0
if [ ${#targets[@]} = 0 ]; then
	for f in test/fuzz/fuzz_*.c; do
		f=${f##*/fuzz_}
		targets+=("${f%.c}")
	done
fi
if ! command -v clang-14 >/dev/null || ! [ -e "$(clang-14 -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] &&
	! clang-14 -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null <<<'int LLVMFuzzerTestOneInput(void) { return 0; }'; then
	printf 'skip fuzz_%s: clang-14 with libclang-rt-14-dev is not there\n' "${targets[@]}"
	echo "0 passed, 0 failed, ${#targets[@]} skipped"
	exit 0
fi
nice -n 19 make -s -j"$(nproc)" "${targets[@]/#/build/fuzz/fuzz_}"
work=$(mktemp -d /tmp/farrier-fuzz-XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p build/fuzz/found
# The words of our API, from the tables themselves.
grep -ohE '"[A-Za-z][A-Za-z0-9./-]*"' lib/api_{class,driver,node,util}.c lib/api.{c,h} | sort -u >"$work/api.dict"
# Short stacks and a small quarantine: faster by half where a target works on files.
export ASAN_OPTIONS=allocator_may_return_null=1:malloc_context_size=3:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1

fuzz() { # fuzz TARGET PROGRAM CORPUS LOG OPTION...: sets runs
	local t=$1 program=$2 corpus=$3 log=$4 dict=() len=8192 asan=$ASAN_OPTIONS rc=0
	shift 4
	case $t in
	manifest | node | classes) dict=(-dict="$work/api.dict") ;;
	esac
	# Slow by their files and trees: as long as two classes or all of a card's files need, and what was freed
	# is kept for a run or two. What breaks tells its whole story when the program is run on it alone.
	case $t in
	classes) len=2048 asan+=:malloc_context_size=1:quarantine_size_mb=1 ;;
	sysfs) len=1024 asan+=:malloc_context_size=1:quarantine_size_mb=1 ;;
	esac
	ASAN_OPTIONS=$asan nice -n 19 "$program" "$@" "${dict[@]}" -timeout=20 -rss_limit_mb=1024 -max_len="$len" \
		-print_final_stats=1 -artifact_prefix="build/fuzz/found/$t-" "$corpus" >"$log" 2>&1 || rc=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	runs=${runs:-0}
	return $rc
}
seeds() { # seeds TARGET DIR
	mkdir -p "$2"
	[ ! -d "test/fuzz/corpus/$1" ] || cp -r "test/fuzz/corpus/$1/." "$2"
}
# A program of its own for each target, so that a build meanwhile does not change it; its digest says what was run.
many() { # many TARGET LOG: sets runs to all that were done with this program
	local t=$1 log=$2 dir=${FUZZ_STATE:-build/fuzz/state}/$1 digest was='' done_=0 n
	digest=$(sha256sum "build/fuzz/fuzz_$t" | cut -d' ' -f1)
	mkdir -p "$dir"
	[ ! -e "$dir/done" ] || read -r was done_ <"$dir/done"
	[ "$was" = "$digest" ] || done_=0
	cp "build/fuzz/fuzz_$t" "$dir/program"
	seeds "$t" "$dir/corpus"
	while [ "$done_" -lt "$total" ]; do
		n=$((total - done_ < chunk ? total - done_ : chunk))
		fuzz "$t" "$dir/program" "$dir/corpus" "$log" -runs="$n" -seed=$((done_ + 1)) || { runs=$done_; return 1; }
		[ "$runs" -gt 0 ] || return 1
		done_=$((done_ + runs))
		echo "$digest $done_" >"$dir/done.new" && mv "$dir/done.new" "$dir/done"
	done
	runs=$done_
}

for t in "${targets[@]}"; do
	t0=$SECONDS rc=0
	if [ "$total" -gt 0 ]; then
		many "$t" "$work/$t.log" || rc=$?
	else
		seeds "$t" "$work/$t"
		fuzz "$t" "build/fuzz/fuzz_$t" "$work/$t" "$work/$t.log" "${limit[@]}" || rc=$?
	fi
	if [ $rc = 0 ]; then
		echo "ok fuzz_$t $runs runs in $((SECONDS - t0)) s"
		passed=$((passed + 1))
	else
		echo "not ok fuzz_$t after $((SECONDS - t0)) s"
		grep -av '^#[0-9]' "$work/$t.log" | tail -n 40 | sed 's/^/   | /'
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
