#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the device plugin against the kubelet's own plugin server and fake devices: under ASan and UBSan.
# usage: run.sh [CHECK...]    env: PLUGIN (default build/san/farrier-device-plugin), FARRIER_CACHE,
# LONG=1 (what takes minutes)
# last line: "N passed, N failed, N skipped"
set -euo pipefail
cd "$(dirname "$0")/../.."
plugin=${PLUGIN:-$PWD/build/san/farrier-device-plugin}
[ -n "${PLUGIN:-}" ] || make -s build/san/farrier-device-plugin
bin=$(test/go/build.sh)
mkdir -p build/test
gcc -O1 -Wall -Werror -o build/test/bed test/plugin/bed.c -lumockdev
make -s build/farrier-device-plugin # what cannot be under ASan
gcc -O1 -Wall -Werror -D_GNU_SOURCE -shared -fPIC -o build/test/faults-malloc.so test/plugin/faults.c -ldl
gcc -O1 -Wall -Werror -D_GNU_SOURCE -shared -fPIC -DWITH_ASAN -o build/test/faults.so test/plugin/faults.c -ldl
exec /usr/bin/python3 test/plugin/checks.py "$plugin" "$bin" "$PWD/build/test/bed" "$@"
