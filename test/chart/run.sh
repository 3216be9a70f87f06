#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The chart as it is rendered: values that are refused, rights, which node gets which pod, the kustomize base, Argo CD's
# health check. What the API server says of it is asked by test/e2e.
# usage: run.sh [CHECK...]
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/lib.sh
bin=$(test/cluster/build.sh)/bin
PATH=$bin:$PATH exec $PY test/chart/checks.py "$@"
