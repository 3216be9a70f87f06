// SPDX-License-Identifier: Apache-2.0

// Package sample makes Node objects as kubelets of a machine with two accelerators write them, the same ones every time.
package sample

import (
	"fmt"
	"regexp"
	"strings"
)

// Place holders of Template: what differs from node to node, and what a heartbeat changes.
const (
	Name   = "@NAME@"
	UID    = "@UID@"
	RV     = "@RV@"
	Beat   = "@BEAT@"
	Ready  = "@READY@"
	IP     = "@IP@"
	Labels = "@LABELS@" // ,"key":"value"…
	Cond   = "@COND@"   // ,{…}
)

func NodeName(i int) string { return fmt.Sprintf("accel-pool-a-%06d.cluster.example.com", i) }
func NodeUID(i int) string  { return fmt.Sprintf("6f1c0d2e-0000-4000-8000-%012x", i) }
func AccUID(i int) string   { return fmt.Sprintf("b2a49c71-0000-4000-8000-%012x", i) }
func NodeIP(i int) string   { return fmt.Sprintf("10.%d.%d.%d", 100+i>>16, i>>8&255, i&255) }

func condition(kind, status, reason, message string) string {
	return fmt.Sprintf(`{"type":%q,"status":%q,"lastHeartbeatTime":"`+Beat+`","lastTransitionTime":"2026-11-02T08:11:31Z","reason":%q,"message":%q}`,
		kind, status, reason, message)
}

// Template is one Node as JSON, about 8 KB of it.
func Template() string {
	var images, fields strings.Builder
	for i := 0; i < 20; i++ {
		if i > 0 {
			images.WriteByte(',')
		}
		fmt.Fprintf(&images, `{"names":["images.example.com/team-%02d/service@sha256:%064x","images.example.com/team-%02d/service:v1.%d.0"],"sizeBytes":%d}`,
			i, i*7919, i, i, 40000000+i*1234567)
	}
	for i, manager := range []string{"kube-controller-manager", "kubelet"} {
		if i > 0 {
			fields.WriteByte(',')
		}
		fmt.Fprintf(&fields, `{"manager":%q,"operation":"Update","apiVersion":"v1","time":"`+Beat+`","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:volumes.kubernetes.io/controller-managed-attach-detach":{}},"f:labels":{".":{},"f:beta.kubernetes.io/arch":{},"f:beta.kubernetes.io/os":{},"f:kubernetes.io/arch":{},"f:kubernetes.io/hostname":{},"f:kubernetes.io/os":{}}},"f:status":{"f:conditions":{"k:{\"type\":\"DiskPressure\"}":{"f:lastHeartbeatTime":{}},"k:{\"type\":\"MemoryPressure\"}":{"f:lastHeartbeatTime":{}},"k:{\"type\":\"PIDPressure\"}":{"f:lastHeartbeatTime":{}},"k:{\"type\":\"Ready\"}":{"f:lastHeartbeatTime":{},"f:message":{},"f:reason":{},"f:status":{}}},"f:images":{}}},"subresource":"status"}`, manager)
	}
	return `{"apiVersion":"v1","kind":"Node","metadata":{"name":"` + Name + `","uid":"` + UID + `","resourceVersion":"` + RV + `","creationTimestamp":"2026-11-02T08:10:57Z",` +
		`"labels":{"beta.kubernetes.io/arch":"amd64","beta.kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"` + Name + `","kubernetes.io/os":"linux",` +
		`"node.kubernetes.io/instance-type":"accel-8x.large","topology.kubernetes.io/region":"eu-north-1","topology.kubernetes.io/zone":"eu-north-1b","pool":"a"` + Labels + `},` +
		`"annotations":{"node.alpha.kubernetes.io/ttl":"0","volumes.kubernetes.io/controller-managed-attach-detach":"true","csi.volume.kubernetes.io/nodeid":"{\"csi.example.com\":\"` + Name + `\"}"},` +
		`"managedFields":[` + fields.String() + `]},` +
		`"spec":{"podCIDR":"10.244.0.0/24","podCIDRs":["10.244.0.0/24"],"providerID":"example:///eu-north-1b/` + Name + `"},` +
		`"status":{"capacity":{"cpu":"128","ephemeral-storage":"1843269236Ki","farrier.dev/edu":"2","hugepages-1Gi":"0","hugepages-2Mi":"0","memory":"1056270692Ki","pods":"250"},` +
		`"allocatable":{"cpu":"127","ephemeral-storage":"1698756926131","farrier.dev/edu":"2","hugepages-1Gi":"0","hugepages-2Mi":"0","memory":"1055144292Ki","pods":"250"},` +
		`"conditions":[` + condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available") + `,` +
		condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure") + `,` +
		condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available") + `,` +
		condition("Ready", Ready, "KubeletReady", "kubelet is posting ready status") + Cond + `],` +
		`"addresses":[{"type":"InternalIP","address":"` + IP + `"},{"type":"Hostname","address":"` + Name + `"}],` +
		`"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},` +
		`"nodeInfo":{"machineID":"9f2b6d4c5e1a4f0b8c7d6e5f4a3b2c1d","systemUUID":"ec2f19ab-7d2c-5b1e-9f00-5a4d3c2b1a09","bootID":"` + UID + `","kernelVersion":"6.1.0-47-amd64","osImage":"Debian GNU/Linux 12 (bookworm)","containerRuntimeVersion":"containerd://2.1.4","kubeletVersion":"v1.34.4","kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"},` +
		`"images":[` + images.String() + `]}}`
}

// Render is a text cut at its place holders.
type Render struct{ parts []string }

var holder = regexp.MustCompile(`@[A-Z]+@`)

func NewRender(text string) *Render {
	r := &Render{}
	from := 0
	for _, at := range holder.FindAllStringIndex(text, -1) {
		r.parts = append(r.parts, text[from:at[0]], text[at[0]:at[1]])
		from = at[1]
	}
	r.parts = append(r.parts, text[from:])
	return r
}

// Append adds the text with value(placeholder) for each place holder.
func (r *Render) Append(b []byte, value func(string) string) []byte {
	for i, p := range r.parts {
		if i%2 == 0 {
			b = append(b, p...)
		} else {
			b = append(b, value(p)...)
		}
	}
	return b
}
