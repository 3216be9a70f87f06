#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs unit test programs, two at a time; prints one line each and the output of those that fail.
# usage: check.sh PROGRAM...      last line: "N passed, N failed, N skipped" (test cases, not programs)
set -uo pipefail
# cmocka's SIGSEGV handler would hide the sanitizers' reports.
export ASAN_OPTIONS=handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2:detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1 CMOCKA_MESSAGE_OUTPUT=stdout
export FARRIER_SOURCE=$PWD
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
run_one() {
	local name=${1#build/unit/} log
	log=$2/${name//\//_}
	local t0=$EPOCHREALTIME
	timeout 300 "$1" >"$log" 2>&1
	echo $? >"$log.rc"
	printf '  %-40s %s s\n' "$name" "$(awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN{printf "%.2f", b-a}')"
}
export -f run_one
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'run_one {} "$0"' "$logs"
passed=0 failed=0 skipped=0
for rc in "$logs"/*.rc; do
	log=${rc%.rc}
	p=$(grep -c '^\[       OK \]' "$log") f=$(grep -c '^\[  FAILED  \] [a-z_A-Z0-9]*$' "$log")
	s=$(grep -c '^\[  SKIPPED \] [a-z_A-Z0-9]*$' "$log")
	passed=$((passed + p)) skipped=$((skipped + s))
	if [ "$(cat "$rc")" != 0 ]; then
		[ "$f" -gt 0 ] || f=1
		printf '\n== %s failed (status %s)\n' "$(basename "$log")" "$(cat "$rc")"
		cat "$log"
	fi
	failed=$((failed + f))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
