// SPDX-License-Identifier: Apache-2.0

// kubeletstub is the kubelet's own device plugin server (the package of its module, unchanged) with a
// handler that tells what happens as JSON lines, and takes commands on stdin.
//
//	kubeletstub DIR        serves DIR/kubelet.sock at once
//
// Commands, one a line; each is answered by one line with "event":"answer" (or "error"):
//
//	start | stop | restart           the server; start empties the folder as the kubelet does
//	allocate RES ID[,ID...] ...      one container for each list
//	preferred RES SIZE AVAILABLE MUST   lists with commas, "-" for none
//	prestart RES ID[,ID...]
//	options RES
//	disconnect RES                   closes the connection to the plugin, as the kubelet does
//	bench RES ID N                   N Allocate calls one after another: microseconds
//	fail-options on|off              GetDevicePluginOptions is not asked: Register fails
//	quit
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	plugin "k8s.io/kubernetes/pkg/kubelet/cm/devicemanager/plugin/v1beta1"
)

type line map[string]any

var (
	outMutex sync.Mutex
	started  = time.Now()
)

func say(l line) {
	outMutex.Lock()
	defer outMutex.Unlock()
	l["ms"] = time.Since(started).Milliseconds()
	b, _ := json.Marshal(l)
	fmt.Println(string(b))
}

type handler struct {
	mutex       sync.Mutex
	plugins     map[string]plugin.DevicePlugin
	failOptions bool
}

// As pkg/kubelet/cm/devicemanager does: everything but folders and the checkpoint goes.
func (h *handler) CleanupPluginDirectory(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.IsDir() || n.Name() == "kubelet_internal_checkpoint" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, n.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (h *handler) PluginConnected(res string, p plugin.DevicePlugin) error {
	h.mutex.Lock()
	fail := h.failOptions
	h.mutex.Unlock()
	if fail {
		return fmt.Errorf("options refused by the test: 100%% \u00e4rger")
	}
	o, err := p.API().GetDevicePluginOptions(context.Background(), &api.Empty{})
	if err != nil {
		return err
	}
	h.mutex.Lock()
	h.plugins[res] = p
	h.mutex.Unlock()
	say(line{"event": "connected", "resource": res, "socket": filepath.Base(p.SocketPath()),
		"preStart": o.PreStartRequired, "preferred": o.GetPreferredAllocationAvailable})
	return nil
}

func (h *handler) PluginDisconnected(res string) {
	say(line{"event": "disconnected", "resource": res})
}

func (h *handler) PluginListAndWatchReceiver(res string, r *api.ListAndWatchResponse) {
	var devices []string
	healthy := 0
	for _, d := range r.Devices {
		topology := "none"
		if d.Topology != nil {
			var nodes []string
			for _, n := range d.Topology.Nodes {
				nodes = append(nodes, strconv.FormatInt(n.ID, 10))
			}
			topology = strings.Join(nodes, "+")
		}
		if d.Health == api.Healthy {
			healthy++
		}
		if len(r.Devices) <= 64 {
			devices = append(devices, d.ID+" "+d.Health+" "+topology)
		}
	}
	say(line{"event": "list", "resource": res, "n": len(r.Devices), "healthy": healthy,
		"devices": devices})
}

func (h *handler) get(res string) (plugin.DevicePlugin, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	p := h.plugins[res]
	if p == nil {
		return nil, fmt.Errorf("%s: not registered", res)
	}
	return p, nil
}

func split(s string) []string {
	if s == "-" || s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func bench(p plugin.DevicePlugin, id string, n int) (line, error) {
	req := &api.AllocateRequest{ContainerRequests: []*api.ContainerAllocateRequest{{DevicesIds: []string{id}}}}
	took := make([]time.Duration, 0, n)
	for i := -n / 10; i < n; i++ { // a tenth to warm up
		t := time.Now()
		if _, err := p.API().Allocate(context.Background(), req); err != nil {
			return nil, err
		}
		if i >= 0 {
			took = append(took, time.Since(t))
		}
	}
	sort.Slice(took, func(i, k int) bool { return took[i] < took[k] })
	us := func(q float64) float64 { return float64(took[int(float64(n-1)*q)].Nanoseconds()) / 1000 }
	return line{"n": n, "p50": us(0.5), "p99": us(0.99), "max": us(1)}, nil
}

func call(h *handler, f []string) (any, error) {
	if len(f) < 2 {
		return nil, fmt.Errorf("which resource?")
	}
	p, err := h.get(f[1])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	switch {
	case f[0] == "allocate" && len(f) > 2:
		req := &api.AllocateRequest{}
		for _, ids := range f[2:] {
			req.ContainerRequests = append(req.ContainerRequests,
				&api.ContainerAllocateRequest{DevicesIds: split(ids)})
		}
		r, err := p.API().Allocate(ctx, req)
		if err != nil {
			return nil, err
		}
		return r.ContainerResponses, nil
	case f[0] == "preferred" && len(f) == 5:
		size, _ := strconv.Atoi(f[2])
		r, err := p.API().GetPreferredAllocation(ctx, &api.PreferredAllocationRequest{
			ContainerRequests: []*api.ContainerPreferredAllocationRequest{{
				AvailableDeviceIDs: split(f[3]), MustIncludeDeviceIDs: split(f[4]), AllocationSize: int32(size)}}})
		if err != nil {
			return nil, err
		}
		if len(r.ContainerResponses) != 1 {
			return nil, fmt.Errorf("%d answers for one container", len(r.ContainerResponses))
		}
		return strings.Join(r.ContainerResponses[0].DeviceIDs, ","), nil
	case f[0] == "prestart" && len(f) == 3:
		_, err := p.API().PreStartContainer(ctx, &api.PreStartContainerRequest{DevicesIds: split(f[2])})
		return "ok", err
	case f[0] == "options":
		return p.API().GetDevicePluginOptions(ctx, &api.Empty{})
	case f[0] == "disconnect":
		return "ok", p.(interface{ Disconnect() error }).Disconnect()
	case f[0] == "bench" && len(f) == 4:
		n, _ := strconv.Atoi(f[3])
		return bench(p, f[2], n)
	}
	return nil, fmt.Errorf("what?")
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kubeletstub DIR")
		os.Exit(2)
	}
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	h := &handler{plugins: map[string]plugin.DevicePlugin{}}
	var s plugin.Server
	start := func() error {
		var err error
		if s, err = plugin.NewServer(filepath.Join(os.Args[1], "kubelet.sock"), h, h); err == nil {
			err = s.Start()
		}
		say(line{"event": "started"})
		return err
	}
	if err := start(); err != nil {
		say(line{"event": "error", "text": err.Error()})
		os.Exit(1)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 8<<20)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) == 0 {
			continue
		}
		var answer any = "ok"
		var err error
		switch f[0] {
		case "start":
			err = start()
		case "stop":
			err = s.Stop()
		case "restart":
			if err = s.Stop(); err == nil {
				err = start()
			}
		case "fail-options":
			h.mutex.Lock()
			h.failOptions = len(f) > 1 && f[1] == "on"
			h.mutex.Unlock()
		case "quit":
			return
		default:
			answer, err = call(h, f)
		}
		if err != nil {
			st, _ := status.FromError(err)
			say(line{"event": "error", "code": st.Code().String(), "text": err.Error()})
		} else {
			say(line{"event": "answer", "answer": answer})
		}
	}
}
