// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Keeps in go.mod what is built without an import of ours: the peer of the benchmark.
package tools

import _ "k8s.io/kubernetes/test/images/sample-device-plugin"
