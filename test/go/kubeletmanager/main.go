// SPDX-License-Identifier: Apache-2.0

// kubeletmanager is the kubelet's own device manager (the package of its module, unchanged): what it counts
// and what it writes into the status of pods, as JSON lines. Commands on stdin, one a line, each answered by
// one line with "event":"answer" (or "error"); a line with "event":"update" names the pods that the kubelet
// would write anew by itself.
//
//	kubeletmanager DIR               serves DIR/kubelet.sock at once
//
//	count RES                        [capacity, allocatable] of the node
//	pod NAME RES N                   admits a pod with one container
//	status NAME                      "RES ID Health" for each device that the pod holds
//	quit
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	_ "unsafe" // go:linkname

	cadvisor "github.com/google/cadvisor/info/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	features "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
)

// NewManagerImpl has the path of the node's real kubelet in it; this is what it calls.
//
//go:linkname newManager k8s.io/kubernetes/pkg/kubelet/cm/devicemanager.newManagerImpl
func newManager(socket string, topology []cadvisor.Node, store topologymanager.Store) (*devicemanager.ManagerImpl, error)

type ready struct{}

func (ready) AddSource(string) {}
func (ready) AllReady() bool   { return true }

var outMutex sync.Mutex

func say(l map[string]any) {
	outMutex.Lock()
	defer outMutex.Unlock()
	b, _ := json.Marshal(l)
	fmt.Println(string(b))
}

type node struct {
	m     *devicemanager.ManagerImpl
	mutex sync.Mutex
	pods  map[string]*v1.Pod
}

func (n *node) active() []*v1.Pod {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	var all []*v1.Pod
	for _, p := range n.pods {
		all = append(all, p)
	}
	return all
}

func (n *node) admit(name, res, count string) error {
	q, err := resource.ParseQuantity(count)
	if err != nil {
		return err
	}
	list := v1.ResourceList{v1.ResourceName(res): q}
	p := &v1.Pod{ObjectMeta: meta.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c",
			Resources: v1.ResourceRequirements{Limits: list, Requests: list}}}}}
	if err := n.m.Allocate(p, &p.Spec.Containers[0]); err != nil {
		return err
	}
	n.mutex.Lock()
	n.pods[name] = p
	n.mutex.Unlock()
	return nil
}

func (n *node) status(name string) ([]string, error) {
	n.mutex.Lock()
	p := n.pods[name]
	n.mutex.Unlock()
	if p == nil {
		return nil, fmt.Errorf("%s: no such pod", name)
	}
	s := v1.PodStatus{ContainerStatuses: []v1.ContainerStatus{{Name: "c"}}}
	n.m.UpdateAllocatedResourcesStatus(p, &s)
	all := []string{}
	for _, r := range s.ContainerStatuses[0].AllocatedResourcesStatus {
		for _, h := range r.Resources {
			all = append(all, fmt.Sprintf("%s %s %s", r.Name, h.ResourceID, h.Health))
		}
	}
	sort.Strings(all)
	return all, nil
}

func (n *node) do(f []string) (any, error) {
	switch {
	case f[0] == "count" && len(f) == 2:
		capacity, allocatable, _ := n.m.GetCapacity()
		c, a := capacity[v1.ResourceName(f[1])], allocatable[v1.ResourceName(f[1])]
		return []int64{c.Value(), a.Value()}, nil
	case f[0] == "pod" && len(f) == 4:
		return "ok", n.admit(f[1], f[2], f[3])
	case f[0] == "status" && len(f) == 2:
		return n.status(f[1])
	}
	return nil, fmt.Errorf("what?")
}

func start(dir string) (*node, error) {
	if err := features.DefaultMutableFeatureGate.Set("ResourceHealthStatus=true"); err != nil {
		return nil, err
	}
	m, err := newManager(filepath.Join(dir, "kubelet.sock"), []cadvisor.Node{{Id: 0}, {Id: 1}},
		topologymanager.NewFakeManager())
	if err != nil {
		return nil, err
	}
	n := &node{m: m, pods: map[string]*v1.Pod{}}
	go func() {
		for u := range m.Updates() {
			say(map[string]any{"event": "update", "pods": strings.Join(u.PodUIDs, ",")})
		}
	}()
	return n, m.Start(n.active, ready{}, containermap.NewContainerMap(), sets.New[string]())
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kubeletmanager DIR")
		os.Exit(2)
	}
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	n, err := start(os.Args[1])
	if err != nil {
		say(map[string]any{"event": "error", "text": err.Error()})
		os.Exit(1)
	}
	say(map[string]any{"event": "started"})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) == 0 {
			continue
		}
		if f[0] == "quit" {
			return
		}
		if answer, err := n.do(f); err != nil {
			say(map[string]any{"event": "error", "text": err.Error()})
		} else {
			say(map[string]any{"event": "answer", "answer": answer})
		}
	}
}
