// SPDX-License-Identifier: Apache-2.0

// A fleet on a real API server: makes its Nodes, plays their kubelets and their agents, and counts what others write.
// usage: fleet KUBECONFIG     a command a line on stdin, an answer in JSON each, {"error":…} when it failed:
//
//	make N           there are Nodes 0 … N-1; agents answer from now on
//	beat N           a heartbeat of N nodes, one after the other
//	flip N           N nodes' Ready changes
//	driver VERSION   the driver's next version
//	state            {"nodes":N,"bytes":of one Node,"writes":{what:how many since the server began}}
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"farrier.dev/bench/sample"
)

const (
	group   = "/apis/farrier.dev/v1alpha1"
	workers = 16
	tries   = 60
	merge   = "application/merge-patch+json"
)

type fleet struct {
	http  *http.Client
	host  string
	n     int
	beats []int
	ready []bool
	agent chan answer
}

// What an agent has to say.
type answer struct {
	name    string
	gen     int64
	version string
}

// ask has patience with a server that is busy or still makes ready to serve a new kind.
func (f *fleet) ask(method, path, kind string, body []byte) (text []byte, err error) {
	for range tries {
		var again bool
		if text, again, err = f.askOnce(method, path, kind, body); !again {
			break
		}
		time.Sleep(time.Second)
	}
	return text, err
}

func (f *fleet) askOnce(method, path, kind string, body []byte) (text []byte, again bool, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, f.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Content-Type", kind)
	res, err := f.http.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %d: %.300s", method, path, res.StatusCode, text)
	}
	return text, res.StatusCode == 429 || res.StatusCode >= 500, err
}

// all does one thing for each of n, a few at a time; the first error ends it.
func all(n int, one func(i int) error) error {
	var wg sync.WaitGroup
	todo, failed := make(chan int), make(chan error, workers)
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range todo {
				if err := one(i); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		select {
		case todo <- i:
		case err = <-failed:
		}
	}
	close(todo)
	wg.Wait()
	select {
	case e := <-failed:
		return e
	default:
		return err
	}
}

var render = sample.NewRender(sample.Template())

func beat(k int) string {
	return time.Date(2026, 11, 3, 0, k, 0, 0, time.UTC).Format(time.RFC3339)
}

// create makes Node i as its kubelet does; the server gives it uid, version and managedFields.
func (f *fleet) create(i int) error {
	text := render.Append(nil, func(p string) string {
		switch p {
		case sample.Name:
			return sample.NodeName(i)
		case sample.UID:
			return sample.NodeUID(i)
		case sample.Beat:
			return beat(0)
		case sample.Ready:
			return "True"
		case sample.IP:
			return sample.NodeIP(i)
		}
		return ""
	})
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	meta := o["metadata"].(map[string]any)
	for _, k := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields"} {
		delete(meta, k)
	}
	text, err := json.Marshal(o)
	if err == nil {
		_, err = f.ask("POST", "/api/v1/nodes?fieldManager=kubelet", "application/json", text)
	}
	return err
}

func (f *fleet) makeNodes(n int) error {
	from := f.n
	for i := from; i < n; i++ {
		f.beats, f.ready = append(f.beats, 0), append(f.ready, true)
	}
	err := all(n-from, func(i int) error { return f.create(from + i) })
	f.n = n
	return err
}

// A patch of the status as kubelets send it.
func (f *fleet) patchStatus(i int, conditions string) error {
	body := `{"status":{"$setElementOrder/conditions":[{"type":"MemoryPressure"},{"type":"DiskPressure"},{"type":"PIDPressure"},{"type":"Ready"}],"conditions":[` + conditions + `]}}`
	_, err := f.ask("PATCH", "/api/v1/nodes/"+sample.NodeName(i)+"/status?fieldManager=kubelet", "application/strategic-merge-patch+json", []byte(body))
	return err
}

func (f *fleet) beat(n int) error {
	return all(n, func(k int) error {
		i := k % f.n
		at := beat(f.beats[i] + k/f.n + 1)
		var b []string
		for _, t := range []string{"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"} {
			b = append(b, fmt.Sprintf(`{"lastHeartbeatTime":%q,"type":%q}`, at, t))
		}
		return f.patchStatus(i, strings.Join(b, ","))
	})
}

func (f *fleet) flip(n int) error {
	return all(n, func(i int) error {
		status := map[bool]string{true: "False", false: "True"}[f.ready[i]]
		f.ready[i] = !f.ready[i]
		return f.patchStatus(i, fmt.Sprintf(`{"status":%q,"type":"Ready"}`, status))
	})
}

// ---- the agents ----

type accNode struct {
	Metadata struct{ Name, ResourceVersion string }
	Spec     struct {
		Drivers []struct {
			Generation int64
			Spec       struct{ Version string }
		}
	}
	Status struct {
		Kernel  string
		Drivers []struct{ Generation int64 }
	}
}

// answerOf is what the node's agent says once it has seen a; false when it has said so.
func answerOf(a *accNode) (answer, bool) {
	want, had := answer{name: a.Metadata.Name}, int64(0)
	if len(a.Spec.Drivers) > 0 {
		want.gen, want.version = a.Spec.Drivers[0].Generation, a.Spec.Drivers[0].Spec.Version
	}
	if len(a.Status.Drivers) > 0 {
		had = a.Status.Drivers[0].Generation
	}
	return want, a.Status.Kernel == "" || want.gen != had
}

var errBusy = errors.New("not yet")

func (f *fleet) watchOnce() error {
	res, err := f.http.Get(f.host + group + "/acceleratornodes?watch=true&timeoutSeconds=3600")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == 429 {
		return errBusy
	}
	if res.StatusCode != 200 {
		return fmt.Errorf("watch: %d", res.StatusCode)
	}
	in := json.NewDecoder(bufio.NewReaderSize(res.Body, 1<<20))
	for {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		var o accNode
		if err := in.Decode(&e); err != nil {
			return err
		}
		if e.Type != "ADDED" && e.Type != "MODIFIED" {
			continue
		}
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return err
		}
		if a, due := answerOf(&o); due {
			f.agent <- a
		}
	}
}

func (f *fleet) agents() {
	for range workers / 2 {
		go func() {
			for a := range f.agent {
				i := 0
				_, _ = fmt.Sscanf(a.name, "accel-pool-a-%d.", &i)
				status := sample.AppendStatus(nil, i, a.gen, a.version)
				if a.gen == 0 { // it knows of no driver yet
					var s map[string]any
					_ = json.Unmarshal(status, &s)
					s["drivers"], s["kernels"], s["devices"] = []any{}, []any{}, []any{}
					status, _ = json.Marshal(s)
				}
				body := append(append([]byte(`{"status":`), status...), '}')
				if _, err := f.ask("PATCH", group+"/acceleratornodes/"+a.name+"/status?fieldManager=farrier-driver-builder", merge, body); err != nil {
					fmt.Fprintln(os.Stderr, "agent:", err)
				}
			}
		}()
	}
	for { // a watch that ended begins with all there is, which repairs what was missed
		if err := f.watchOnce(); err != nil && err != io.EOF && err != errBusy {
			fmt.Fprintln(os.Stderr, "agents:", err)
		}
		time.Sleep(time.Second)
	}
}

// ---- what was written ----

var counter = regexp.MustCompile(`^apiserver_request_total\{(.*)\} (\S+)$`)
var label = regexp.MustCompile(`(\w+)="([^"]*)"`)

// writes that were server-side apply, which of these objects nobody does but the controller.
func (f *fleet) writes() (map[string]int, error) {
	text, err := f.ask("GET", "/metrics", "", nil)
	if err != nil {
		return nil, err
	}
	names := map[string]string{"nodes": "node labels", "nodes/status": "node conditions", "acceleratornodes": "acceleratornodes",
		"acceleratordrivers/status": "drivers and classes", "acceleratorclasses/status": "drivers and classes"}
	sum := map[string]int{}
	for _, line := range strings.Split(string(text), "\n") {
		m := counter.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		l := map[string]string{}
		for _, p := range label.FindAllStringSubmatch(m[1], -1) {
			l[p[1]] = p[2]
		}
		v, _ := strconv.ParseFloat(m[2], 64)
		name := names[strings.TrimSuffix(l["resource"]+"/"+l["subresource"], "/")]
		if name != "" && l["verb"] == "APPLY" && strings.HasPrefix(l["code"], "2") {
			sum[name] += int(v)
		}
	}
	return sum, nil
}

func (f *fleet) do(words []string) (any, error) {
	n := 0
	if len(words) > 1 {
		n, _ = strconv.Atoi(words[1])
	}
	switch words[0] {
	case "make":
		return struct{}{}, f.makeNodes(n)
	case "beat":
		err := f.beat(n)
		for i := range f.beats {
			f.beats[i] += (n + f.n - 1) / f.n
		}
		return struct{}{}, err
	case "flip":
		return struct{}{}, f.flip(n)
	case "driver":
		_, err := f.ask("PATCH", group+"/acceleratordrivers/edu", merge, []byte(fmt.Sprintf(`{"spec":{"version":%q}}`, words[1])))
		return struct{}{}, err
	case "state":
		w, err := f.writes()
		if err != nil {
			return nil, err
		}
		var one []byte
		if f.n > 0 {
			one, err = f.ask("GET", "/api/v1/nodes/"+sample.NodeName(0), "", nil)
		}
		return map[string]any{"nodes": f.n, "bytes": len(one), "writes": w}, err
	}
	return nil, fmt.Errorf("%q: no such command", words[0])
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		panic(err)
	}
	f := &fleet{host: strings.TrimSuffix(config.Host, "/"), agent: make(chan answer, 1<<16)}
	f.http, err = rest.HTTPClientFor(config)
	if err != nil {
		panic(err)
	}
	go f.agents()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		out, err := f.do(words)
		if err != nil {
			out = map[string]string{"error": err.Error()}
		}
		text, _ := json.Marshal(out)
		fmt.Println(string(text))
	}
}
