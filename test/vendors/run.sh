#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks every shipped class on a fake machine that has its vendor's devices: under ASan and UBSan.
# usage: run.sh [CHECK...]    env: PLUGIN (default build/san/farrier-device-plugin), FARRIER_CACHE
# last line: "N passed, N failed, N skipped"
set -euo pipefail
cd "$(dirname "$0")/../.."
plugin=${PLUGIN:-$PWD/build/san/farrier-device-plugin}
[ -n "${PLUGIN:-}" ] || make -s build/san/farrier-device-plugin
bin=$(test/go/build.sh)
exec /usr/bin/python3 test/vendors/checks.py "$plugin" "$bin" "$@"
