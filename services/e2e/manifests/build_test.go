package manifests

import (
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

// objects is what an overlay builds.
type objects struct {
	stateful    []appsv1.StatefulSet
	deployments []appsv1.Deployment
	services    []corev1.Service
	claims      []corev1.PersistentVolumeClaim
	secrets     []corev1.Secret
	configs     []corev1.ConfigMap
	namespaces  []corev1.Namespace
	budgets     []policyv1.PodDisruptionBudget
	policies    []networkingv1.NetworkPolicy
}

// build builds an overlay as kubectl does and decodes each object into its Kubernetes type, which takes no field that it does not
// have. files are added to a copy of the overlay.
func build(t *testing.T, overlay string, files map[string]string) (o objects) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "deploy", "kustomize"))); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, "overlays", overlay, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, "overlays", overlay))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]func() error{
			"apps/v1 StatefulSet":                into(text, &o.stateful),
			"apps/v1 Deployment":                 into(text, &o.deployments),
			"v1 Service":                         into(text, &o.services),
			"v1 PersistentVolumeClaim":           into(text, &o.claims),
			"v1 Secret":                          into(text, &o.secrets),
			"v1 ConfigMap":                       into(text, &o.configs),
			"v1 Namespace":                       into(text, &o.namespaces),
			"policy/v1 PodDisruptionBudget":      into(text, &o.budgets),
			"networking.k8s.io/v1 NetworkPolicy": into(text, &o.policies),
		}
		decode, known := kinds[r.GetApiVersion()+" "+r.GetKind()]
		if !known {
			t.Errorf("%s %s %s: nothing of that kind is expected", r.GetApiVersion(), r.GetKind(), r.GetName())
			continue
		}
		if err := decode(); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
	}
	return o
}

func into[T any](text []byte, list *[]T) func() error {
	return func() error {
		var v T
		if err := yaml.UnmarshalStrict(text, &v); err != nil {
			return err
		}
		*list = append(*list, v)
		return nil
	}
}
