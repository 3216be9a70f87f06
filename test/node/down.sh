#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ends the guest (power cut), deletes its Node object and its tap.  usage: down.sh NAME [-k]   -k keeps the disk
set -uo pipefail
. "$(dirname "$0")/lib.sh"
vm_vars "$1"
vm_stop
api "api/v1/nodes/$name" -X DELETE >/dev/null
infra ip link del "tap-$name" 2>/dev/null
[ "${2:-}" = -k ] || rm -rf "$S"
