#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ends the machine that KEEP=1 or a run that was killed has left, and removes its disk.
. "$(dirname "$0")/lib.sh"
clean
