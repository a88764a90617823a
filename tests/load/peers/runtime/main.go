// Command runtime is a mutating webhook on controller-runtime's admission server, as most are: the
// Pod arrives as a corev1.Pod, is changed in place, and the library finds the operations.
// Usage: runtime ADDRESS TLS_DIR CHANGES
package main

import (
	"context"
	"encoding/json"
	"log"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type placer struct{ wanted corev1.Pod }

// Default makes the changes to a Pod.
func (p placer) Default(_ context.Context, pod *corev1.Pod) error {
	pod.Annotations = merge(pod.Annotations, p.wanted.Annotations)
	pod.Labels = merge(pod.Labels, p.wanted.Labels)
	pod.Spec.NodeSelector = merge(pod.Spec.NodeSelector, p.wanted.Spec.NodeSelector)
	for _, each := range p.wanted.Spec.Tolerations {
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return t.MatchToleration(&each) }) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, each)
		}
	}
	return nil
}

func merge(there, wanted map[string]string) map[string]string {
	if there == nil {
		there = map[string]string{}
	}
	maps.Copy(there, wanted)
	return there
}

func main() {
	address, folder, changes := os.Args[1], os.Args[2], os.Args[3]
	var its placer
	if err := json.Unmarshal([]byte(changes), &its.wanted); err != nil {
		log.Fatal(err)
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		log.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		log.Fatal(err)
	}
	ctrllog.SetLogger(logr.Discard())
	server := webhook.NewServer(webhook.Options{Host: host, Port: port, CertDir: folder})
	server.Register("/mutate", admission.WithDefaulter[*corev1.Pod](scheme, its))
	log.Fatal(server.Start(context.Background()))
}
