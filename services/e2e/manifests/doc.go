// Package manifests tests the manifests of deploy/kustomize: whether they can be built, whether every field is one that
// Kubernetes knows, and whether what refers to something else finds it.
package manifests
