#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Any QMP command.  usage: qmp.sh NAME COMMAND [key=value...] [--event NAME SECONDS]   e.g. device_add driver=edu id=e2 bus=rp2
. "$(dirname "$0")/lib.sh"
vm_vars "$1"
shift
exec "$node_here/qmp.py" "$S" "$@"
