# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts below test/: places, waiting, progress lines, and the words in which results are told.
SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export FARRIER_CACHE=${FARRIER_CACHE:-/var/cache/farrier}
# State of what runs: one folder per checkout, on a real file system (kubelet and containerd need one).
export RUN=${RUN:-/var/tmp/farrier-test-$(printf %s "$SRC" | cksum | cut -d' ' -f1)}
PY=/usr/bin/python3
mkdir -p "$FARRIER_CACHE"

now() { echo "$EPOCHREALTIME"; }
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN{printf "%.1f", b-a}'; }
digest_of() { { printf '%s\n' "$@"; cat; } | sha256sum | cut -c1-16; } # digest_of WORD... <FILE
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
wait_for() { # wait_for SECONDS WHAT CMD...: until CMD succeeds; a busy machine gets FARRIER_SLOW times as long
	local end=$((SECONDS + $1 * ${FARRIER_SLOW:-1})) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt "$end" ] || { echo "timeout: $what" >&2; return 1; }
		sleep "${WAIT_STEP:-0.2}"
	done
}

# progress WHAT CMD...: runs CMD, its output goes to a log; says every 15 s that it still runs, and at the end
# how long it took. A failure shows the end of the log.
progress() {
	local what=$1 t0=$SECONDS pid rc=0 log
	shift
	log=$(mktemp /tmp/farrier-progress.XXXXXX)
	"$@" >"$log" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 0.2
		[ $(((SECONDS - t0) % 15)) != 0 ] || [ "${said:-0}" = $SECONDS ] || [ $SECONDS = $t0 ] || {
			said=$SECONDS
			echo "   ... $what: $((SECONDS - t0)) s" >&2
		}
	done
	wait $pid || rc=$?
	if [ $rc = 0 ]; then
		echo "   $what: $((SECONDS - t0)) s" >&2
	else
		echo "   $what: failed after $((SECONDS - t0)) s (status $rc)" >&2
		tail -40 "$log" >&2
	fi
	rm -f "$log"
	return $rc
}
