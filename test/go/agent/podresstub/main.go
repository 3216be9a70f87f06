// SPDX-License-Identifier: Apache-2.0

// podresstub is the kubelet's own pod resources server (the package of its module, unchanged) over pods, devices,
// CPUs and memory that are made up. First it compares our proto file with the module's descriptor.
//
//	podresstub PROTO SOCKET          serves at once; prints "ready"; ends with its stdin
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	api "k8s.io/kubelet/pkg/apis/podresources/v1"
	"k8s.io/kubernetes/pkg/kubelet/apis/podresources"
)

var (
	message = regexp.MustCompile(`^message (\w+) \{$`)
	field   = regexp.MustCompile(`^\t(repeated )?(\w+) (\w+) = (\d+);$`)
	lines   = regexp.MustCompile(`[^\n]+`)
)

// Every field of ours is one of theirs: name, number, type, how often. How many there were.
func compare(text string, theirs protoreflect.MessageDescriptors) (int, error) {
	var in protoreflect.MessageDescriptor
	n := 0
	for _, line := range lines.FindAllString(text, -1) {
		if m := message.FindStringSubmatch(line); m != nil {
			if in = theirs.ByName(protoreflect.Name(m[1])); in == nil {
				return n, fmt.Errorf("no message %s", m[1])
			}
		}
		m := field.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f := in.Fields().ByName(protoreflect.Name(m[3]))
		if f == nil {
			return n, fmt.Errorf("%s has no field %s", in.Name(), m[3])
		}
		kind := f.Kind().String()
		if f.Message() != nil {
			kind = string(f.Message().Name())
		}
		if fmt.Sprint(f.Number()) != m[4] || kind != m[2] || f.IsList() != (m[1] != "") {
			return n, fmt.Errorf("%s.%s is %s = %d", in.Name(), m[3], kind, f.Number())
		}
		n++
	}
	return n, nil
}

type machine struct{}

func pod(name string) *core.Pod {
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec: core.PodSpec{Containers: []core.Container{{Name: "c"}}}}
}

func (machine) GetActivePods() []*core.Pod                    { return []*core.Pod{pod("nginx"), pod("shared")} }
func (m machine) GetPods() []*core.Pod                        { return m.GetActivePods() }
func (machine) GetPodByName(_, name string) (*core.Pod, bool) { return pod(name), true }

func device(res, id string, nodes ...int64) *api.ContainerDevices {
	d := &api.ContainerDevices{ResourceName: res, DeviceIds: []string{id}}
	for _, n := range nodes {
		if d.Topology == nil {
			d.Topology = &api.TopologyInfo{}
		}
		d.Topology.Nodes = append(d.Topology.Nodes, &api.NUMANode{ID: n})
	}
	return d
}

func (machine) UpdateAllocatedDevices() {}
func (machine) GetDevices(uid, _ string) []*api.ContainerDevices {
	if uid != "nginx" {
		return nil
	}
	return []*api.ContainerDevices{device("farrier.dev/edu", "b", 0)}
}
func (machine) GetAllocatableDevices() []*api.ContainerDevices {
	return []*api.ContainerDevices{device("farrier.dev/edu", "a", 0), device("farrier.dev/edu", "b", 0),
		device("farrier.dev/edu", "c"), device("farrier.dev/far", "d", 99)}
}

func (machine) GetCPUs(uid, _ string) []int64 {
	if uid != "nginx" {
		return nil
	}
	return []int64{0}
}
func (machine) GetAllocatableCPUs() []int64 { return []int64{0} }

func memory(size uint64) []*api.ContainerMemory {
	return []*api.ContainerMemory{{MemoryType: "memory", Size: size,
		Topology: &api.TopologyInfo{Nodes: []*api.NUMANode{{ID: 0}}}}}
}

func (machine) GetMemory(uid, _ string) []*api.ContainerMemory {
	if uid != "nginx" {
		return nil
	}
	return memory(1 << 20)
}
func (machine) GetAllocatableMemory() []*api.ContainerMemory { return memory(3 << 20) }

func (machine) GetDynamicResources(*core.Pod, *core.Container) []*api.DynamicResource {
	return []*api.DynamicResource{{ClaimName: "what we do not read"}}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	file := (&api.PodResources{}).ProtoReflect().Descriptor().ParentFile()
	if n, err := compare(string(text), file.Messages()); err != nil || n == 0 {
		fmt.Printf("%s: %d fields are right: %v\n", os.Args[1], n, err)
		os.Exit(1)
	}
	l, err := net.Listen("unix", os.Args[2])
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	m := machine{}
	api.RegisterPodResourcesListerServer(s, podresources.NewV1PodResourcesServer(context.Background(),
		podresources.PodResourcesProviders{Pods: m, Devices: m, Cpus: m, Memory: m, DynamicResources: m}))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready")
	panic(s.Serve(l))
}
