// SPDX-License-Identifier: Apache-2.0

// Makes Nodes on a real API server, gives them heartbeats, takes them away.
// usage: nodes KUBECONFIG create|beat|flip|delete FROM TO     prints how many were done
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"farrier.dev/bench/sample"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const parallel = 16

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		panic(err)
	}
	config.QPS, config.Burst = 5000, 5000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		panic(err)
	}
	from, _ := strconv.Atoi(os.Args[3])
	to, _ := strconv.Atoi(os.Args[4])
	render := sample.NewRender(sample.Template())
	nodes := client.CoreV1().Nodes()
	ctx := context.Background()
	beat := time.Now().UTC().Format(time.RFC3339)
	one := func(i int) error {
		name := sample.NodeName(i)
		switch os.Args[2] {
		case "create":
			var n corev1.Node
			text := render.Append(nil, func(p string) string {
				switch p {
				case sample.Name:
					return name
				case sample.UID, sample.RV, sample.Labels, sample.Cond:
					return ""
				case sample.Beat:
					return beat
				case sample.Ready:
					return "True"
				}
				return sample.NodeIP(i)
			})
			if err := json.Unmarshal(text, &n); err != nil {
				return err
			}
			n.ManagedFields, n.CreationTimestamp = nil, metav1.Time{}
			n.Spec.PodCIDR, n.Spec.PodCIDRs = "", nil
			_, err := nodes.Create(ctx, &n, metav1.CreateOptions{})
			return err
		case "beat", "flip":
			ready := "True"
			if os.Args[2] == "flip" {
				ready = "False"
			}
			patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"lastHeartbeatTime":%q}]}}`, ready,
				time.Now().UTC().Add(time.Minute).Format(time.RFC3339))
			_, err := nodes.Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
			return err
		default:
			return nodes.Delete(ctx, name, metav1.DeleteOptions{})
		}
	}
	var next, done atomic.Int64
	next.Store(int64(from))
	var wait sync.WaitGroup
	for range parallel {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := int(next.Add(1)) - 1; i < to; i = int(next.Add(1)) - 1 {
				if err := one(i); err != nil {
					fmt.Fprintln(os.Stderr, err)
					continue
				}
				done.Add(1)
			}
		}()
	}
	wait.Wait()
	fmt.Println(done.Load())
}
