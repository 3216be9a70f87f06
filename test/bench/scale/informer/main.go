// SPDX-License-Identifier: Apache-2.0

// The peer of the controller in the benchmark: a client-go program that keeps all Nodes by a shared informer with
// its default settings and counts what its handlers hear.
// usage: informer KUBECONFIG    prints "synced N" once it is, and one line of counters for each line of input
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		panic(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		panic(err)
	}
	var updates, changes atomic.Int64
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes()
	_, err = nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(was, is any) {
			updates.Add(1)
			if ready(was.(*corev1.Node)) != ready(is.(*corev1.Node)) {
				changes.Add(1)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	all, err := nodes.Lister().List(labels.Everything())
	if err != nil {
		panic(err)
	}
	fmt.Println("synced", len(all))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("updates", updates.Load(), "changes", changes.Load())
	}
}

func ready(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
