// SPDX-License-Identifier: Apache-2.0
// podres: asks the kubelet's pod resources API which devices can be given out (GetAllocatableResources) and who
// holds which (List); with -wait it measures, from a boot on, when the kubelet's registration socket first
// answered and when the devices of a resource were allocatable.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/kubelet/pkg/apis/podresources/v1"
)

const (
	registration = "/var/lib/kubelet/device-plugins/kubelet.sock"
	podResources = "/var/lib/kubelet/pod-resources/kubelet.sock"
)

type device struct {
	Resource string  `json:"resource"`
	ID       string  `json:"id"`
	NUMA     []int64 `json:"numa"`
	Pod      string  `json:"pod,omitempty"`
}

func flatten(in []*v1.ContainerDevices, pod string) []device {
	var out []device
	for _, d := range in {
		for _, id := range d.DeviceIds {
			x := device{Resource: d.ResourceName, ID: id, NUMA: []int64{}, Pod: pod}
			if d.Topology != nil {
				for _, n := range d.Topology.Nodes {
					x.NUMA = append(x.NUMA, n.ID)
				}
			}
			out = append(out, x)
		}
	}
	return out
}

func count(devices []device, resource string) int {
	n := 0
	for _, d := range devices {
		if d.Resource == resource {
			n++
		}
	}
	return n
}

func answers(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "podres:", err)
	os.Exit(1)
}

// The clock of /proc/uptime, so that times can be set beside those of a boot.
func uptime() float64 {
	var up float64
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		fail(err)
	}
	fmt.Sscan(string(b), &up)
	return up
}

func main() {
	wait := flag.String("wait", "", "resource to wait for")
	least := flag.Int("count", 1, "how many of it")
	timeout := flag.Duration("timeout", 5*time.Minute, "give up after")
	list := flag.Bool("list", false, "devices held by pods, instead of the allocatable ones")
	flag.Parse()
	end := time.Now().Add(*timeout)
	var registered float64
	if *wait != "" {
		for !answers(registration) {
			if time.Now().After(end) {
				fail(fmt.Errorf("%s does not answer", registration))
			}
			time.Sleep(10 * time.Millisecond)
		}
		registered = uptime()
	}
	conn, err := grpc.NewClient("unix://"+podResources, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		fail(err)
	}
	client := v1.NewPodResourcesListerClient(conn)
	for {
		var devices []device
		if *wait == "" || answers(podResources) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if *list {
				var r *v1.ListPodResourcesResponse
				if r, err = client.List(ctx, &v1.ListPodResourcesRequest{}); err == nil {
					for _, p := range r.PodResources {
						for _, c := range p.Containers {
							devices = append(devices, flatten(c.Devices, p.Namespace+"/"+p.Name)...)
						}
					}
				}
			} else {
				var r *v1.AllocatableResourcesResponse
				if r, err = client.GetAllocatableResources(ctx, &v1.AllocatableResourcesRequest{}); err == nil {
					devices = flatten(r.Devices, "")
				}
			}
			cancel()
		}
		if *wait == "" {
			if err != nil {
				fail(err)
			}
			_ = json.NewEncoder(os.Stdout).Encode(devices)
			return
		}
		if n := count(devices, *wait); err == nil && n >= *least {
			fmt.Printf("{\"resource\":%q,\"count\":%d,\"kubeletSocket\":%.2f,\"allocatable\":%.2f}\n",
				*wait, n, registered, uptime())
			return
		}
		if time.Now().After(end) {
			fail(fmt.Errorf("%s: not %d in time (last error: %v)", *wait, *least, err))
		}
		time.Sleep(100 * time.Millisecond)
	}
}
