// SPDX-License-Identifier: Apache-2.0

// A streaming stand-in of an API server for fleets that no real one on this machine would hold: nodes and their
// AcceleratorNodes are made while they are sent, so that a hundred thousand of them cost a few words each.
// Lists come in pages (limit, continue) or, for resourceVersion=0, whole, as from a watch cache; watches have
// bookmarks and streaming lists. Applied specs, labels and conditions are kept; what a node says follows its spec.
// usage: apistub ADDRESS     prints "listening"; POST /bench/... drives it, GET /bench/state tells
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"farrier.dev/bench/sample"
)

type kind int

const (
	nodes kind = iota
	accs
	drivers
	classes
	kinds
)

var listKind = [kinds]string{"NodeList", "AcceleratorNodeList", "AcceleratorDriverList", "AcceleratorClassList"}
var apiVersion = [kinds]string{"v1", "farrier.dev/v1alpha1", "farrier.dev/v1alpha1", "farrier.dev/v1alpha1"}

type nodeState struct {
	rv           uint64
	beats        uint32
	notReady     bool
	labels, cond *string // nil: what all have
}
type accState struct {
	rv     uint64
	exists bool
	spec   *string // text of annotations and spec; nil: what all have
	gen    int64
}
type event struct {
	rv uint64
	i  int32
}
type server struct {
	sync.Mutex
	wake    *sync.Cond
	n       int
	rv      uint64
	node    []nodeState
	acc     []accState
	status  [2]string // of the driver, of the class
	version string
	gen     int64
	objRV   [2]uint64
	log     [kinds][]event
	sent    [kinds]uint64
	// What every node has that nobody has written to.
	labels, cond, spec string
	gens               map[string]int64 // generation of edu in a spec's text
	texts              map[string]*string
	others             map[string]string // leases
	writes             map[string]int
	render             *sample.Render
}

func (s *server) text(t string) *string {
	p := s.texts[t]
	if p == nil {
		p = &t
		s.texts[t] = p
	}
	return p
}

func (s *server) changed(k kind, i int) uint64 {
	s.rv++
	switch k {
	case nodes:
		s.node[i].rv = s.rv
	case accs:
		s.acc[i].rv = s.rv
	case drivers, classes:
		s.objRV[k-drivers] = s.rv
	}
	s.log[k] = append(s.log[k], event{s.rv, int32(i)})
	s.wake.Broadcast()
	return s.rv
}

func (s *server) appendNode(b []byte, i int) []byte {
	n := &s.node[i]
	return s.render.Append(b, func(p string) string {
		switch p {
		case sample.Name:
			return sample.NodeName(i)
		case sample.UID:
			return sample.NodeUID(i)
		case sample.RV:
			return strconv.FormatUint(n.rv, 10)
		case sample.Beat:
			return fmt.Sprintf("2026-11-%02dT%02d:%02d:00Z", 3+n.beats/1440%25, n.beats/60%24, n.beats%60)
		case sample.Ready:
			if n.notReady {
				return "False"
			}
			return "True"
		case sample.IP:
			return sample.NodeIP(i)
		case sample.Labels:
			if n.labels != nil {
				return *n.labels
			}
			return s.labels
		}
		if n.cond != nil {
			return *n.cond
		}
		return s.cond
	})
}

func (s *server) appendAcc(b []byte, i int) []byte {
	a := &s.acc[i]
	spec, gen := s.spec, s.gens[s.spec]
	if a.spec != nil {
		spec, gen = *a.spec, a.gen
	}
	b = fmt.Appendf(b, `{"apiVersion":"farrier.dev/v1alpha1","kind":"AcceleratorNode","metadata":{"name":%q,"uid":%q,"resourceVersion":"%d","generation":1,"creationTimestamp":"2026-11-02T08:11:00Z","ownerReferences":[{"apiVersion":"v1","kind":"Node","name":%q,"uid":%q}]`,
		sample.NodeName(i), sample.AccUID(i), a.rv, sample.NodeName(i), sample.NodeUID(i))
	b = append(b, spec...)
	b = append(b, ',')
	b = sample.AppendStatus(append(b, `"status":`...), i, gen, s.version)
	return append(b, '}')
}

func (s *server) appendObject(b []byte, k kind) []byte {
	meta := fmt.Sprintf(`"metadata":{"name":"edu","uid":"0e0e0e0e-0000-4000-8000-00000000000%d","resourceVersion":"%d","generation":%d,"creationTimestamp":"2026-11-02T08:00:00Z"}`, k, s.objRV[k-drivers], s.gen)
	if k == drivers {
		return fmt.Appendf(b, `{"apiVersion":"farrier.dev/v1alpha1","kind":"AcceleratorDriver",%s,"spec":{"version":%q,"devices":[{"bus":"PCI","vendor":"1234","device":"11e8"}],"source":{"type":"Host","host":{"path":"/usr/src/edu"}},"modules":[{"name":"edu"}]}%s}`, meta, s.version, s.status[0])
	}
	return fmt.Appendf(b, `{"apiVersion":"farrier.dev/v1alpha1","kind":"AcceleratorClass",%s,"spec":{"match":[{"bus":"PCI","vendor":"1234","device":"11e8","driver":"edu"}],"resourceName":"farrier.dev/edu","deviceNodes":[{"subsystem":"edu","permissions":"rw"}],"cdi":true}%s}`, meta, s.status[1])
}

func (s *server) append(b []byte, k kind, i int) []byte {
	switch k {
	case nodes:
		return s.appendNode(b, i)
	case accs:
		return s.appendAcc(b, i)
	}
	return s.appendObject(b, k)
}

func (s *server) count(k kind) int {
	if k >= drivers {
		return 1
	}
	return s.n
}

func (s *server) has(k kind, i int) bool { return k != accs || s.acc[i].exists }

func (s *server) list(w http.ResponseWriter, k kind, q map[string][]string) {
	get := func(name string) string {
		if v := q[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	limit, _ := strconv.Atoi(get("limit"))
	if get("resourceVersion") == "0" || limit == 0 {
		limit = 1 << 30
	}
	s.Lock()
	rv, from := s.rv, 0
	s.Unlock()
	if c := get("continue"); c != "" {
		_, _ = fmt.Sscanf(c, "%d-%d", &rv, &from)
	}
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 256<<10)
	fmt.Fprintf(out, `{"kind":%q,"apiVersion":%q,"items":[`, listKind[k], apiVersion[k])
	var b []byte
	i, sent := from, 0
	for ; i < s.count(k) && sent < limit; i++ {
		s.Lock()
		there := s.has(k, i)
		if there {
			b = s.append(b[:0], k, i)
		}
		s.Unlock()
		if !there {
			continue
		}
		if sent > 0 {
			_ = out.WriteByte(',')
		}
		_, _ = out.Write(b)
		sent++
	}
	next := ""
	if i < s.count(k) {
		next = fmt.Sprintf("%d-%d", rv, i)
	}
	fmt.Fprintf(out, `],"metadata":{"resourceVersion":"%d","continue":%q}}`, rv, next)
	_ = out.Flush()
}

func bookmark(k kind, rv uint64, initial bool) string {
	name, notes := strings.TrimSuffix(listKind[k], "List"), ""
	if initial {
		notes = `,"annotations":{"k8s.io/initial-events-end":"true"}`
	}
	return fmt.Sprintf(`{"type":"BOOKMARK","object":{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d"%s}}}`+"\n", name, apiVersion[k], rv, notes)
}

func (s *server) watch(w http.ResponseWriter, r *http.Request, k kind) {
	q := r.URL.Query()
	from, _ := strconv.ParseUint(q.Get("resourceVersion"), 10, 64)
	seconds, _ := strconv.Atoi(q.Get("timeoutSeconds"))
	if seconds == 0 {
		seconds = 600
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	out := bufio.NewWriterSize(w, 64<<10)
	flush := func() { _ = out.Flush(); w.(http.Flusher).Flush() }
	var b []byte
	s.Lock()
	defer s.Unlock()
	if q.Get("sendInitialEvents") == "true" {
		from = s.rv
		for i := 0; i < s.count(k); i++ {
			if s.has(k, i) {
				b = append(s.append(append(b[:0], `{"type":"ADDED","object":`...), k, i), '}', '\n')
				s.Unlock()
				_, _ = out.Write(b)
				s.Lock()
			}
		}
		_, _ = out.WriteString(bookmark(k, from, true))
	}
	at := len(s.log[k])
	for at > 0 && s.log[k][at-1].rv > from {
		at--
	}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	over := false
	tick := time.AfterFunc(time.Until(end), func() { s.wake.Broadcast() })
	defer tick.Stop()
	go func() {
		<-r.Context().Done()
		s.Lock()
		over = true
		s.Unlock()
		s.wake.Broadcast()
	}()
	s.Unlock()
	flush()
	s.Lock()
	for !over && time.Now().Before(end) {
		if at == len(s.log[k]) {
			s.Unlock()
			flush()
			s.Lock()
			if at == len(s.log[k]) {
				s.wake.Wait()
			}
			continue
		}
		e := s.log[k][at]
		at++
		s.sent[k]++
		b = append(s.append(append(b[:0], `{"type":"MODIFIED","object":`...), k, int(e.i)), '}', '\n')
		s.Unlock()
		_, err := out.Write(b)
		s.Lock()
		if err != nil {
			return
		}
	}
	_, _ = out.WriteString(bookmark(k, s.rv, false))
	s.Unlock()
	flush()
	s.Lock()
}

func index(path string) int {
	name := path[strings.LastIndexByte(path, '/')+1:]
	i := -1
	_, _ = fmt.Sscanf(name, "accel-pool-a-%d.", &i)
	return i
}

// The members of a JSON object from the second on: ',"a":1,"b":2'.
func members(raw json.RawMessage) string {
	t := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(raw)), "{"), "}")
	if t == "" {
		return ""
	}
	return "," + t
}

type patch struct {
	Metadata struct {
		Labels      json.RawMessage
		Annotations json.RawMessage
	}
	Spec   json.RawMessage
	Status json.RawMessage
}

func (s *server) apply(w http.ResponseWriter, r *http.Request, k kind) {
	path := strings.TrimSuffix(r.URL.Path, "/status")
	var p patch
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &p); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	s.Lock()
	defer s.Unlock()
	i := index(path)
	if k < drivers && (i < 0 || i >= s.n) {
		http.Error(w, "{}", 404)
		return
	}
	switch {
	case k == nodes && path == r.URL.Path:
		s.writes["node labels"]++
		s.node[i].labels = s.text(members(p.Metadata.Labels))
	case k == nodes:
		s.writes["node conditions"]++
		var st struct{ Conditions []json.RawMessage }
		_ = json.Unmarshal(p.Status, &st)
		t := ""
		for _, c := range st.Conditions {
			t += "," + string(c)
		}
		s.node[i].cond = s.text(t)
	case k == accs:
		s.writes["acceleratornodes"]++
		t := "},\"spec\":" + string(p.Spec)
		if p.Metadata.Annotations != nil {
			t = ",\"annotations\":" + string(p.Metadata.Annotations) + t
		}
		var spec struct{ Drivers []struct{ Generation int64 } }
		_ = json.Unmarshal(p.Spec, &spec)
		s.acc[i].spec, s.acc[i].exists, s.acc[i].gen = s.text(t), true, 0
		if len(spec.Drivers) > 0 {
			s.acc[i].gen = spec.Drivers[0].Generation
		}
		s.gens[t] = s.acc[i].gen
	default:
		i = 0
		s.writes["drivers and classes"]++
		s.status[k-drivers] = `,"status":` + string(p.Status)
	}
	s.changed(k, i)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.append(nil, k, i))
}

func (s *server) other(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.Lock()
	defer s.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.Contains(r.URL.Path, "/leases") && r.Method != "GET":
		name := r.URL.Path
		if r.Method == "POST" {
			var o struct{ Metadata struct{ Name string } }
			_ = json.Unmarshal(body, &o)
			name += "/" + o.Metadata.Name
		}
		s.others[name] = string(body)
		_, _ = w.Write(body)
	case r.Method == "GET" && s.others[r.URL.Path] != "":
		_, _ = w.Write([]byte(s.others[r.URL.Path]))
	case r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/events"):
		s.writes["events"]++
		w.WriteHeader(201)
		_, _ = w.Write(body)
	default:
		w.WriteHeader(404)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
	}
}

func (s *server) bench(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, _ := strconv.Atoi(q.Get("n"))
	s.Lock()
	defer s.Unlock()
	switch strings.TrimPrefix(r.URL.Path, "/bench/") {
	case "scale": // n nodes; exist=1: with their AcceleratorNodes, as node 0 is now
		if q.Get("exist") != "" && s.n > 0 && s.acc[0].spec != nil {
			s.spec = *s.acc[0].spec
			if s.node[0].labels != nil {
				s.labels = *s.node[0].labels
			}
			if s.node[0].cond != nil {
				s.cond = *s.node[0].cond
			}
		}
		s.n, s.node, s.acc = n, make([]nodeState, n), make([]accState, n)
		for i := range s.node {
			s.rv++
			s.node[i].rv, s.acc[i].rv, s.acc[i].exists = s.rv, s.rv, q.Get("exist") != ""
		}
		s.log = [kinds][]event{}
	case "beat":
		for i := 0; i < n; i++ {
			s.node[i%s.n].beats++
			s.changed(nodes, i%s.n)
		}
	case "flip":
		for i := 0; i < n; i++ {
			s.node[i%s.n].notReady = !s.node[i%s.n].notReady
			s.changed(nodes, i%s.n)
		}
	case "driver":
		s.version = q.Get("version")
		s.gen++
		s.changed(drivers, 0)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"nodes": s.n, "writes": s.writes, "sent": s.sent[nodes],
		"bytes": len(s.appendNode(nil, 0))})
}

func (s *server) collection(path string, k kind) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "PATCH":
			s.apply(w, r, k)
		case r.Method != "GET":
			http.Error(w, "{}", 405)
		case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
			s.watch(w, r, k)
		case r.URL.Path == path:
			s.list(w, k, r.URL.Query())
		default:
			http.Error(w, "{}", 404)
		}
	}
}

func main() {
	s := &server{version: "1.0", gen: 1, rv: 1000, gens: map[string]int64{}, texts: map[string]*string{}, others: map[string]string{},
		writes: map[string]int{}, render: sample.NewRender(sample.Template()), spec: `},"spec":{}`, objRV: [2]uint64{1, 1},
		node: make([]nodeState, 1), acc: make([]accState, 1), n: 1}
	s.wake = sync.NewCond(&s.Mutex)
	mux := http.NewServeMux()
	for path, k := range map[string]kind{"/api/v1/nodes": nodes, "/apis/farrier.dev/v1alpha1/acceleratornodes": accs,
		"/apis/farrier.dev/v1alpha1/acceleratordrivers": drivers, "/apis/farrier.dev/v1alpha1/acceleratorclasses": classes} {
		mux.HandleFunc(path, s.collection(path, k))
		mux.HandleFunc(path+"/", s.collection(path, k))
	}
	mux.HandleFunc("/bench/", s.bench)
	mux.HandleFunc("/", s.other)
	go func() { // a watch that waits looks at its clock
		for range time.Tick(time.Second) {
			s.wake.Broadcast()
		}
	}()
	fmt.Println("listening")
	if err := http.ListenAndServe(os.Args[1], mux); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
