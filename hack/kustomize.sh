#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Renders the chart with its default values for manifests/kustomize/base, without helm's own labels.
# usage: kustomize.sh >manifests/kustomize/base/farrier.yaml     (make manifests)
set -euo pipefail
cd "$(dirname "$0")/.."
helm=$(command -v helm || test/cluster/build.sh --where)
[ -x "$helm" ] && [ ! -d "$helm" ] || helm=$helm/bin/helm
[ -x "$helm" ] || { echo "kustomize: no helm; make cluster builds one" >&2; exit 3; }
echo "# SPDX-License-Identifier: Apache-2.0"
echo "# Rendered from manifests/chart by hack/kustomize.sh: change the chart, then run make manifests."
"$helm" template farrier manifests/chart --namespace farrier-system --no-hooks --set crds.enabled=false |
	sed -e '/^ *helm.sh\/chart:/d' -e 's#managed-by: Helm#managed-by: kustomize#' -e '/^# Source:/d'
