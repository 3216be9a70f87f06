# SPDX-License-Identifier: Apache-2.0
# Sourced after wave-steps.sh: a wave in whose middle something is taken away. It must end, one node at a time, each node
# cordoned once and free again, its devices allocatable.
middle() { # one node has the new version, another is cordoned: that is the middle
	local last
	last=$(tail -n 1 "$RUN/wave.samples" 2>/dev/null) || return
	[ -n "$last" ] && [[ "$(cut -d" " -f2 <<<"$last")" != [-?] && "$(cut -d' ' -f3 <<<"$last")" != - ]]
}
once_each() { # no node was cordoned, let go and cordoned again
	awk -v all="$1" '$2 == "?" { next } $2 != was && $2 != "-" { times[$2]++ } { was = $2 }
		END { for (n in times) { nodes++; if (times[n] > 1) bad = bad " " n } if (nodes != all || bad) { print nodes " nodes, more than once:" bad; exit 1 } }' \
		"$RUN/wave.samples" >"$RUN/logs/once" || fail "$(cat "$RUN/logs/once")"
}
all_free() { # nobody is cordoned, and each node's record says that it is done
	api api/v1/nodes | $PY -c 'import json, sys
sys.exit(any(n["spec"].get("unschedulable") for n in json.load(sys.stdin)["items"]))' && on_all upgrade-done upgrade_state && on_all 2 allocatable
}
upgrade_state() { accnode "$1" | jget spec upgrade state; }
disturbed() { # disturbed FUNCTION VERSION [MOMENT]: FUNCTION says what it has hit
	local hitter
	rm -f "$RUN/wave.samples" "$RUN/logs/hit"
	(WAIT_STEP=0.2 wait_for 600 "the moment" "${3:-middle}" && "$1" >"$RUN/logs/hit" 2>&1) &
	hitter=$!
	step_roll "$2" || { kill $hitter 2>/dev/null; wait $hitter; return 1; }
	wait $hitter || fail "nothing was hit: $(cat "$RUN/logs/hit" 2>/dev/null)" || return
	[ -s "$RUN/logs/hit" ] || fail "nothing was hit" || return
	echo "   $(tail -1 "$RUN/logs/hit")"
	wave_story | sed 's/^/   /'
	wait_for 300 "all nodes free, with their devices" all_free || fail "$(for n in $NODES; do echo "$n=$(upgrade_state "$n")/$(allocatable "$n")"; done)" || return
	one_at_a_time && once_each "$(has_guest && echo 4 || echo 3)"
}
