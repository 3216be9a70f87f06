#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Command in the guest's root shell (virtio-serial), its exit status handed on.  usage: exec.sh NAME [-t SECONDS] COMMAND
. "$(dirname "$0")/lib.sh"
vm_vars "$1"
shift
guest "$@"
