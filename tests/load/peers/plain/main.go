// Command plain is a mutating webhook on net/http and encoding/json, as one writes it without a
// framework: reviews and Pods are read as the types of k8s.io/api, and the operations are written
// by hand. Usage: plain ADDRESS TLS_DIR CHANGES
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// merge adds what is missing in a map or has another value there.
func merge(operations []operation, path string, there, wanted map[string]string) []operation {
	if there == nil {
		return append(operations, operation{"add", path, wanted})
	}
	for key, value := range wanted {
		if found, ok := there[key]; !ok || found != value {
			operations = append(operations, operation{"add", path + "/" + escape.Replace(key), value})
		}
	}
	return operations
}

// place returns the operations that make the changes to a Pod.
func place(its, wanted *corev1.Pod) []operation {
	var operations []operation
	operations = merge(operations, "/metadata/annotations", its.Annotations, wanted.Annotations)
	operations = merge(operations, "/metadata/labels", its.Labels, wanted.Labels)
	operations = merge(operations, "/spec/nodeSelector", its.Spec.NodeSelector, wanted.Spec.NodeSelector)
	if its.Spec.Tolerations == nil {
		return append(operations, operation{"add", "/spec/tolerations", wanted.Spec.Tolerations})
	}
	for _, each := range wanted.Spec.Tolerations {
		if !slices.ContainsFunc(its.Spec.Tolerations, func(t corev1.Toleration) bool { return t.MatchToleration(&each) }) {
			operations = append(operations, operation{"add", "/spec/tolerations/-", each})
		}
	}
	return operations
}

// mutate decides about one review.
func mutate(request *admissionv1.AdmissionRequest, wanted *corev1.Pod) (*admissionv1.AdmissionResponse, error) {
	var pod corev1.Pod
	if err := json.Unmarshal(request.Object.Raw, &pod); err != nil {
		return nil, fmt.Errorf("request.object: %w", err)
	}
	response := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	if operations := place(&pod, wanted); len(operations) > 0 {
		patch, err := json.Marshal(operations)
		if err != nil {
			return nil, err
		}
		kind := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = patch, &kind
	}
	return response, nil
}

func serve(wanted *corev1.Pod) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		body := http.MaxBytesReader(w, r.Body, 4<<20)
		if err := json.NewDecoder(body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
			return
		}
		response, err := mutate(review.Request, wanted)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Request, review.Response = nil, response
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			log.Print(err)
		}
	}
}

func main() {
	address, folder, changes := os.Args[1], os.Args[2], os.Args[3]
	var wanted corev1.Pod
	if err := json.Unmarshal([]byte(changes), &wanted); err != nil {
		log.Fatal(err)
	}
	http.Handle("POST /mutate", serve(&wanted))
	log.Fatal(http.ListenAndServeTLS(
		address, filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"), nil))
}
