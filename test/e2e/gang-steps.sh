# SPDX-License-Identifier: Apache-2.0
# Sourced by gang.sh and volcano.sh, after wave-steps.sh: driver versions roll over three nodes that a gang of three pods needs
# all of. What happens is taken from watches, so that nothing is missed; gang.py judges it.
# shellcheck disable=SC2154 # steps.sh sets e2e and ACC
gang_nodes() { # those that wave.sh leaves, or from nothing
	if alive "$RUN/n3.pid"; then return; fi
	has_guest || alive "$RUN/infra.pid" || step_cluster || return
	step_nodes && step_install_shim && step_first_version
}
gang_pods() { api 'api/v1/namespaces/default/pods?labelSelector=farrier.test%2Fgang'; }
gang_is() { # gang_is COUNT CONDITION STATUS: so many pods, each of them with that, none on its way out
	gang_pods | $PY -c 'import json, sys
n, kind, status = int(sys.argv[1]), *sys.argv[2:]
p = [any(c["type"] == kind and c["status"] == status for c in x["status"].get("conditions", [])) and "deletionTimestamp" not in x["metadata"]
     for x in json.load(sys.stdin)["items"]]
sys.exit(p != [True] * n)' "$@"
}
gang_runs() { gang_is 3 Ready True; }
gang_story() { # the pods, for the case that something fails
	gang_pods | $PY -c 'import json, sys
for p in json.load(sys.stdin)["items"]:
    c = [x for x in p["status"].get("conditions", []) if x["type"] == "PodScheduled"]
    print(p["metadata"]["name"], p["status"].get("phase"), p["spec"].get("nodeName"), c[0].get("message", "") if c else "")' | tr '\n' ';'
}
# All or none: with a node of the three closed by the admin nothing starts, then everything does.
gang_starts() { # gang_starts OBJECTS
	k cordon n3 >/dev/null || fail "kubectl cordon" || return
	k apply -f "$1" >/dev/null || fail "kubectl apply" || return
	wait_for 300 "a gang that waits" gang_is 3 PodScheduled False || fail "with two nodes: $(gang_story)" || return
	k uncordon n3 >/dev/null
	wait_for 300 "the gang" gang_runs || fail "with three nodes: $(gang_story)"
}
# --- a wave over them --------------------------------------------------------------------------------
watchers=()
watch_to() { # watch_to FILE PATH?: what is there, and every change from then on
	nsenter -t "$(cat "$RUN/infra.pid")" -n curl -sSN --cacert "$RUN/pki/ca.crt" --cert "$RUN/pki/admin.crt" --key "$RUN/pki/admin.key" \
		"$API/$2watch=1&timeoutSeconds=7200" >"$1" 2>>"$RUN/logs/api-curl.log" &
	watchers+=($!)
}
watch_begins() {
	rm -f "$RUN"/gang.{pods,nodes,acc}
	watch_to "$RUN/gang.pods" 'api/v1/namespaces/default/pods?labelSelector=farrier.test%2Fgang&'
	watch_to "$RUN/gang.nodes" 'api/v1/nodes?'
	watch_to "$RUN/gang.acc" "$ACC/acceleratornodes?"
	wait_for 60 "three of each" watch_has 3 || fail "the watches show nothing"
}
watch_has() { for f in pods nodes acc; do [ "$(wc -l <"$RUN/gang.$f")" -ge "$1" ] || return 1; done; }
watch_ends() {
	[ ${#watchers[@]} = 0 ] && return # wait without a name waits for all that a scenario has started
	kill "${watchers[@]}" 2>/dev/null
	wait "${watchers[@]}" 2>/dev/null
	watchers=()
}
trap watch_ends EXIT
policy() { # policy MAX_UNAVAILABLE [WAIT_FOR_COMPLETION]
	printf '{"maxParallelUpgrades":1,"maxUnavailable":%s,"waitForCompletion":%s,"drain":{"enable":true,"force":true},"podDeletion":{"force":true}}' \
		"$1" "${2:-null}"
}
ask_version() { # ask_version VERSION POLICY
	has_source "$1" || fail "no source of $1" || return
	k patch acceleratordriver edu --type=merge -p "{\"spec\":{\"version\":\"$1\",\"source\":{\"host\":{\"path\":\"/usr/src/edu-$1\"}},
\"upgradePolicy\":$2}}" >/dev/null || fail "kubectl patch"
}
other_version() { if [ "$(loaded_version n1)" = 1.1 ]; then echo 1.0; else echo 1.1; fi; }
upgrade_of() { accnode "$1" | jget spec upgrade "$2"; }
rolled_over() { # rolled_over VERSION: it runs everywhere, all is free
	on_all "$1" loaded_version && on_all upgrade-done upgrade_state_of && on_all 2 allocatable &&
		api api/v1/nodes | $PY -c 'import json, sys
sys.exit(any(n["spec"].get("unschedulable") for n in json.load(sys.stdin)["items"]))'
}
rolled_over_gang() { gang_runs && rolled_over "$1" && gang_runs; } # and the gang is whole
upgrade_state_of() { upgrade_of "$1" state; }
where_it_stands() {
	local n
	for n in $NODES; do echo -n "$n=$(loaded_version "$n") $(upgrade_state_of "$n") $(upgrade_of "$n" reason); "; done
	gang_story
}
degraded() { api "$ACC/acceleratordrivers/edu" | $PY -c 'import json, sys
for c in json.load(sys.stdin).get("status", {}).get("conditions", []):
    if c["type"] == "Degraded" and c["status"] == "True": print(c["reason"], c["message"])'; }
says_too_large() { [[ "$(degraded)" == "GangTooLarge gang 'default/"*"/gang"*"' spans more nodes"* ]]; }
# With room for one node only, the gang is named and left alone; with room for all of it, it goes in one wave.
gang_too_large() {
	gang_to=$(other_version)
	watch_begins || return
	ask_version "$gang_to" "$(policy 1)" || return
	wait_for 600 "GangTooLarge" says_too_large || fail "Degraded: '$(degraded)'; $(where_it_stands)" || return
	gang_runs || fail "$(gang_story)" || return
	echo "   $(degraded)"
}
gang_in_one_wave() {
	ask_version "$gang_to" "$(policy 3)" || return
	wait_for 1200 "version $gang_to, the gang whole" rolled_over_gang "$gang_to" || fail "$(where_it_stands)" || return
	watch_ends
	$PY "$e2e/gang.py" "$RUN"/gang.{pods,nodes,acc} >"$RUN/logs/gang.story" || fail "$(grep -a '^fault' "$RUN/logs/gang.story" | tr '\n' ';')"
	local r=$?
	grep -av '^fault' "$RUN/logs/gang.story"
	return $r
}
# The judge judges: a policy that has no patience with gangs takes this one apart, and that must be seen.
gang_apart() {
	gang_to=$(other_version)
	watch_begins || return
	ask_version "$gang_to" "$(policy 1 '{"podSelector":{"matchLabels":{"farrier.test/none":"such"}},"timeoutSeconds":5}')" || return
	wait_for 1200 "version $gang_to" rolled_over "$gang_to" || fail "$(where_it_stands)" || return
	watch_ends
	! $PY "$e2e/gang.py" "$RUN"/gang.{pods,nodes,acc} >"$RUN/logs/gang-apart.story" || fail "the judge found nothing wrong" || return
	grep -aq '^fault: not one unit' "$RUN/logs/gang-apart.story" && grep -aq '^fault: .* went before all nodes were cordoned' "$RUN/logs/gang-apart.story" ||
		fail "$(grep -a '^fault' "$RUN/logs/gang-apart.story" | tr '\n' ';')"
}
