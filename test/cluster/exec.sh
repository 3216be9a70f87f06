#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a program in the control plane's network (NODE given as "-") or inside a namespaced node.
# usage: exec.sh -|n1 CMD...
. "$(dirname "$0")/lib.sh"
n=$1
shift
[ "$n" != - ] || exec nsenter -t "$(cat "$RUN/infra.pid")" -n "$@"
init=$(pgrep -P "$(cat "$RUN/$n.pid")" | head -1)
exec nsenter -t "$init" -a "$@"
