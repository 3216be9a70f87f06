# SPDX-License-Identifier: Apache-2.0
# Sourced by the scenarios: how a check is told.
. "$(dirname "${BASH_SOURCE[0]}")/steps.sh"
bad=0
check() { # check "NAME" FUNCTION [ARG...]: one line; sets $bad
	local name=$1 s
	s=$(now)
	shift
	why=""
	if "$@"; then
		echo "ok $name ($(since "$s") s)"
	else
		echo "not ok $name: ${why:-no reason given} ($(since "$s") s)"
		bad=1
		return 1
	fi
}
