#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keeps what is needed to find out why a scenario failed, in build/test-logs/NAME.  usage: save-logs.sh NAME STATUS
. "$(dirname "$0")/steps.sh"
[ "$2" != 0 ] || exit 0
steps_init
to=$SRC/build/test-logs/$1
rm -rf "$to"
mkdir -p "$to"
k get accdrv,acccls,accnode,nodes,pods,events -A -o yaml >"$to/objects.yaml" 2>&1
for p in $(k get pods -A --no-headers -o custom-columns=A:.metadata.namespace,B:.metadata.name 2>/dev/null | grep farrier | tr -s ' ' /); do
	k logs -n "${p%/*}" "${p#*/}" --tail=500 >"$to/${p#*/}.log" 2>&1
done
[ ! -S "$S/shell.sock" ] || guest -t 60 'dmesg | tail -50; tail -n 200 /var/log/kubelet.log; journalctl -b --no-pager -n 300
find /var/lib/farrier /run/farrier -type f | head -100; cat /run/farrier/status.json' >"$to/guest.log" 2>&1
cp -r "$RUN/logs" "$to/" 2>/dev/null
cp "$S"/console.* "$to/" 2>/dev/null
exit 0
