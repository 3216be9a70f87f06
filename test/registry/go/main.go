// SPDX-License-Identifier: Apache-2.0

// The CNCF's distribution registry with its file system storage and nothing else, for tests.
package main

import (
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/distribution/distribution/v3/registry"
)

func main() {
	registry.RootCmd.Execute() //nolint:errcheck // it says so itself
}
