// SPDX-License-Identifier: Apache-2.0

// cdicheck reads CDI specs as a container runtime does, with the library that containerd and CRI-O use,
// and injects devices into an empty container.
//
//	cdicheck DIR [DEVICE...]    prints what the container gets, as JSON
package main

import (
	"encoding/json"
	"fmt"
	"os"

	oci "github.com/opencontainers/runtime-spec/specs-go"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

func main() {
	cache, err := cdi.NewCache(cdi.WithSpecDirs(os.Args[1]), cdi.WithAutoRefresh(false))
	if err == nil {
		err = cache.Refresh()
	}
	for path, errs := range cache.GetErrors() {
		fmt.Fprintln(os.Stderr, path, errs)
		err = fmt.Errorf("bad specs")
	}
	spec := &oci.Spec{}
	if err == nil && len(os.Args) > 2 {
		_, err = cache.InjectDevices(spec, os.Args[2:]...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	b, _ := json.Marshal(map[string]any{"devices": cache.ListDevices(), "spec": spec})
	fmt.Println(string(b))
}
