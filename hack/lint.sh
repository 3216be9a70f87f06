#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What machines can say about the source: one line per finding, a summary last; exit status 1 when there are findings.
# Results of clang-tidy are kept by content, so that only what changed is looked at again.
#
# usage: lint.sh [--fast] [PATH...]     --fast: without clang-tidy and cppcheck; PATH: only files below these
# env: FARRIER_CACHE
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3
CACHE=${FARRIER_CACHE:-/var/cache/farrier}/lint
JOBS=2
LINES_MAX=500
FORMAT=clang-format-14 TIDY=clang-tidy-14
fast=0 paths=()
for arg in "$@"; do
	case $arg in
	--fast) fast=1 ;;
	-*) echo "usage: lint.sh [--fast] [PATH...]" >&2 && exit 2 ;;
	*) paths+=("$arg") ;;
	esac
done
for tool in "$FORMAT" "$TIDY" cppcheck shellcheck gcc; do
	command -v "$tool" >/dev/null || { echo "lint: '$tool' is not installed; make setup installs it" >&2 && exit 3; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$CACHE/tidy" "$CACHE/cppcheck"
t0=$SECONDS

# Tracked files and new ones, as they are now.
git ls-files -co --exclude-standard -- "${paths[@]}" | sort -u | while read -r f; do [ ! -f "$f" ] || echo "$f"; done >"$work/all"
grep -E '\.[ch]$' "$work/all" >"$work/c-all"
# Kernel modules (what lies beside a Kbuild or dkms.conf) follow the kernel's rules, not ours.
while read -r f; do
	d=$(dirname "$f")
	[ -e "$d/Kbuild" ] || [ -e "$d/dkms.conf" ] || echo "$f"
done <"$work/c-all" >"$work/c"
is_script() { [[ $1 == *.sh ]] || head -c 64 "$1" | grep -qE '^#!.*\b(ba)?sh\b'; }
while read -r f; do is_script "$f" && echo "$f"; done <"$work/all" >"$work/scripts"

# Calls of functions whose names match $1 in C file $2, comments and strings left aside.
calls_of() {
	FILE=$2 CALLS=$1 perl -0777 -ne '
		s{("(?:[^"\\\n]|\\.)*")|(\x27(?:[^\x27\\\n]|\\.)*\x27)|//[^\n]*|/\*.*?\*/}
			{ my $n = ($& =~ tr/\n//); defined $1 ? "\"\"" : defined $2 ? "0" : "\n" x $n }gse;
		my $line = 0;
		for (split /\n/) {
			$line++;
			print "$ENV{FILE}:$line: $1() is banned\n" while /(?<![\w.>])($ENV{CALLS})\s*\(/g;
		}' "$2"
}

check_format() {
	xargs -r -n 20 -P $JOBS "$FORMAT" --dry-run <"$work/c" 2>&1 | sed -n 's/^\([^:]*\):\([0-9]*\):.*\[-Wclang-format-violations\]$/\1 \2/p' |
		sort -k1,1 -k2,2n | awk '{ n[$1]++; if (!($1 in first)) first[$1] = $2 }
			END { for (f in n) printf "%s:%d: %d places, %s -i %s\n", f, first[f], n[f], "'$FORMAT'", f }'
}

check_licence() {
	grep -E '\.(c|h|sh|py|go|yaml|yml|md|tpl|mk)$|(^|/)(Makefile|Kbuild)$' "$work/all" | while read -r f; do
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f:1: no SPDX line"
	done
}

check_banned() {
	local f calls
	while read -r f; do
		calls='strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|strtol|gets|alloca'
		[[ $f == test/* ]] || calls+='|system|popen|sleep|rand|srand|localtime'
		[[ $f == test/* || $f == hack/* || $f == */main.c ]] || calls+='|exit'
		[[ $f == lib/json*.c ]] || calls+='|json_object_get_int|json_object_get_int64|json_object_get_string'
		calls_of "$calls" "$f"
	done <"$work/c"
}

check_words() {
	# The words are split here so that this file does not find itself.
	xargs -r grep -nHE "\b(TO""DO|FIX""ME|X""XX)\b" <"$work/all" 2>/dev/null | grep -v '^Binary' | sed -E 's/^([^:]*:[0-9]+):.*/\1: a note to do it later/'
}

check_includes() {
	hack/lint/includes.pl hack/lint/includes <"$work/c"
}

check_shell() {
	local common=(-x -P SCRIPTDIR -S warning -e "SC1090,SC1091,SC2034,SC2054,SC2120" -f gcc)
	{
		# Scripts that others source have no first line that names the shell.
		xargs -r grep -lE '^#!' <"$work/scripts" | xargs -r -n 8 -P $JOBS shellcheck "${common[@]}"
		xargs -r grep -LE '^#!' <"$work/scripts" | xargs -r -n 8 -P $JOBS shellcheck -s bash "${common[@]}"
	} | sed -E 's/^([^:]*:[0-9]+):[0-9]+: (.*)/\1: \2/'
}

tidy_one() { # tidy_one FILE: prints findings, from the cache when nothing it reads has changed
	local f=$1 key out
	case $f in test/*) flags+=" -I." ;; esac
	# shellcheck disable=SC2086
	key=$({ $TIDY --version && cat hack/lint/clang-tidy && echo "$flags" &&
		gcc $flags -MM "$f" 2>/dev/null | sed 's/^[^:]*://; s/\\$//' | tr -s ' ' '\n' | grep . | xargs -r sha256sum; } | sha256sum | cut -d' ' -f1)
	out=$CACHE/tidy/$key
	if [ ! -f "$out" ]; then
		# shellcheck disable=SC2086
		$TIDY --quiet --config-file=hack/lint/clang-tidy "$f" -- $flags -Wno-everything 2>/dev/null |
			sed -nE "s|^$PWD/||; s/^([^: ]+:[0-9]+):[0-9]+: (warning|error): (.*)/\1: \3/p" | sort -u >"$out.$$"
		mv "$out.$$" "$out"
	fi
	cat "$out"
}

check_tidy() {
	# shellcheck disable=SC2016 # make expands these
	flags=$(make -s --eval 'lint-flags:;@echo $(CPPFLAGS) $(CSTD) $(PKG_CFLAGS)' lint-flags)
	flags+=" $(pkg-config --cflags umockdev-1.0 2>/dev/null)" # test/plugin
	export flags CACHE TIDY
	export -f tidy_one
	# shellcheck disable=SC2016 # so does the shell that xargs starts
	grep '\.c$' "$work/c" | grep -v '^test/unit/' | xargs -r -P $JOBS -I{} bash -c 'tidy_one "$1"' _ {} | sort -u
	# What nobody asked for in a month.
	find "$CACHE/tidy" -type f -mtime +30 -delete
}

check_cpp() {
	grep '\.c$' "$work/c" >"$work/cpp"
	[ -s "$work/cpp" ] || return 0
	# It knows nothing of cleanup attributes either; we have one thread; NULL is a pointer here; mmap takes fd -1.
	cppcheck -q -j $JOBS --std=c11 --enable=warning,portability,performance --inline-suppr --cppcheck-build-dir="$CACHE/cppcheck" \
		--library=posix -Ilib -D_GNU_SOURCE -DFARRIER_VERSION='""' --suppress=missingInclude --suppress=missingIncludeSystem \
		--suppress=memleak --suppress=resourceLeak --suppress=readdirCalled \
		--suppress=varFuncNullUB --suppress=invalidFunctionArg --suppress=invalidFunctionArgBool \
		--suppress=unmatchedSuppression --suppress=normalCheckLevelMaxBranches --suppress=checkersReport \
		--template='{file}:{line}: {message} [{id}]' --file-list="$work/cpp" 2>&1 | grep -E '^[^ :]+:[0-9]+: ' | sort -u
}

check_chart() {
	local helm version
	version=$(sed -n 's/^VERSION := //p' Makefile)
	grep -q "^appVersion: \"$version\"$" manifests/chart/Chart.yaml ||
		echo "manifests/chart/Chart.yaml:1: appVersion is not the Makefile's $version"
	helm=$(command -v helm || find "${FARRIER_CACHE:-/var/cache/farrier}" -maxdepth 5 -name helm -type f -perm -100 2>/dev/null | head -n 1)
	[ -n "$helm" ] || return 0
	"$helm" lint --strict manifests/chart 2>&1 | sed -nE 's/^\[(ERROR|WARNING)\] (.*)/manifests\/chart:1: \2/p'
}

notice_length() {
	while read -r f; do
		n=$(wc -l <"$f")
		[ "$n" -le $LINES_MAX ] || echo "$f:$n: $n lines; is it still one thing?"
	done <"$work/c"
}

total=0 summary=""
run_check() { # run_check NAME FUNCTION
	"$2" | sed "s/\$/ [$1]/" >"$work/out"
	local n
	n=$(wc -l <"$work/out")
	cat "$work/out"
	total=$((total + n))
	summary+="${summary:+, }$1 $n"
}
run_check format check_format
run_check licence check_licence
run_check banned check_banned
run_check includes check_includes
run_check words check_words
run_check shell check_shell
run_check chart check_chart
if [ $fast = 0 ]; then
	run_check cppcheck check_cpp
	run_check tidy check_tidy
fi
notice_length | sed 's/$/ [notice]/'
echo "$total findings in $(wc -l <"$work/all") files ($summary), $((SECONDS - t0)) s"
[ "$total" = 0 ]
