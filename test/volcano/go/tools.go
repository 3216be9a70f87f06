// SPDX-License-Identifier: Apache-2.0
//go:build tools

// Pins the commands this module builds, so that `go mod tidy` keeps them.
package tools

import (
	_ "volcano.sh/volcano/cmd/controller-manager"
	_ "volcano.sh/volcano/cmd/scheduler"
)
