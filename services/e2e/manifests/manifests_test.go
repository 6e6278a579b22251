package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/warren-mq/warren/services/internal/access"
)

// credentials are the files that a local overlay needs, made as its page says.
func credentials(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := access.Ensure(dir); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[filepath.Join("credentials", name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type pod struct {
	name   string
	labels map[string]string
	spec   corev1.PodSpec
	claims []string // of a StatefulSet's templates
}

func (o objects) pods(t *testing.T) (out []pod) {
	t.Helper()
	selects := func(name string, s *metav1.LabelSelector, have map[string]string) {
		if !fits(t, s, have) {
			t.Errorf("%s does not select its own pods", name)
		}
	}
	for _, d := range o.deployments {
		selects(d.Name, d.Spec.Selector, d.Spec.Template.Labels)
		out = append(out, pod{d.Name, d.Spec.Template.Labels, d.Spec.Template.Spec, nil})
	}
	for _, s := range o.stateful {
		selects(s.Name, s.Spec.Selector, s.Spec.Template.Labels)
		p := pod{name: s.Name, labels: s.Spec.Template.Labels, spec: s.Spec.Template.Spec}
		for _, c := range s.Spec.VolumeClaimTemplates {
			p.claims = append(p.claims, c.Name)
		}
		out = append(out, p)
	}
	return out
}

func fits(t *testing.T, s *metav1.LabelSelector, have map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(have))
}

// TestOverlays builds them and follows every reference. secrets are those that do not come with the overlay.
func TestOverlays(t *testing.T) {
	for _, c := range []struct {
		overlay string
		files   map[string]string
		secrets []string
		pods    int
	}{
		{"local", credentials(t), nil, 6},
		{"production", nil, []string{"broker", "order", "payment", "product", "shipment"}, 5},
	} {
		t.Run(c.overlay, func(t *testing.T) {
			o := build(t, c.overlay, c.files)
			pods := o.pods(t)
			if len(pods) != c.pods {
				t.Errorf("%d kinds of pods, not %d", len(pods), c.pods)
			}
			for _, p := range pods {
				confined(t, p)
				o.refers(t, p, c.secrets)
			}
			o.reached(t, pods)
		})
	}
}

// confined: nobody is root, writes to its own files, or grows without a limit; everybody is asked how it is.
func confined(t *testing.T, p pod) {
	t.Helper()
	s := p.spec.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil {
		t.Errorf("%s: pod is not confined: %+v", p.name, s)
	}
	if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
		t.Errorf("%s has a token of the cluster", p.name)
	}
	for _, c := range p.spec.Containers {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s: container is not confined: %+v", p.name, s)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s has no limit or request: %+v", p.name, c.Resources)
		}
		if c.ReadinessProbe == nil || c.LivenessProbe == nil {
			t.Errorf("%s is not asked how it is", p.name)
		}
		if tag := c.Image[strings.LastIndex(c.Image, ":")+1:]; tag == c.Image || tag == "latest" {
			t.Errorf("%s: image %s has no tag of its own", p.name, c.Image)
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if probe == nil {
				continue
			}
			port := ""
			if probe.HTTPGet != nil {
				port = probe.HTTPGet.Port.String()
			} else if probe.TCPSocket != nil {
				port = probe.TCPSocket.Port.String()
			}
			if !slices.ContainsFunc(c.Ports, func(x corev1.ContainerPort) bool { return x.Name == port }) {
				t.Errorf("%s: a probe asks at port %q, which there is not", p.name, port)
			}
		}
	}
}

// refers: volumes, secrets and settings that a pod names exist.
func (o objects) refers(t *testing.T, p pod, elsewhere []string) {
	t.Helper()
	volumes := slices.Clone(p.claims)
	for _, v := range p.spec.Volumes {
		volumes = append(volumes, v.Name)
		switch {
		case v.Secret != nil:
			found := slices.Contains(elsewhere, v.Secret.SecretName)
			for _, s := range o.secrets {
				found = found || s.Name == v.Secret.SecretName
			}
			if !found {
				t.Errorf("%s: no secret %s", p.name, v.Secret.SecretName)
			}
		case v.PersistentVolumeClaim != nil:
			found := false
			for _, c := range o.claims {
				found = found || c.Name == v.PersistentVolumeClaim.ClaimName
			}
			if !found {
				t.Errorf("%s: no claim %s", p.name, v.PersistentVolumeClaim.ClaimName)
			}
		case v.ConfigMap != nil:
			o.config(t, p.name, v.ConfigMap.Name)
		}
	}
	for _, c := range p.spec.Containers {
		for _, m := range c.VolumeMounts {
			if !slices.Contains(volumes, m.Name) {
				t.Errorf("%s: no volume %s", p.name, m.Name)
			}
		}
		for _, from := range c.EnvFrom {
			o.config(t, p.name, from.ConfigMapRef.Name)
		}
	}
}

func (o objects) config(t *testing.T, who, name string) {
	t.Helper()
	for _, c := range o.configs {
		if c.Name == name {
			return
		}
	}
	t.Errorf("%s: no settings %s", who, name)
}

// reached: services, budgets and network policies select pods, at ports that these have; the brokers keep their majority.
func (o objects) reached(t *testing.T, pods []pod) {
	t.Helper()
	port := func(s map[string]string, name string) bool {
		for _, p := range pods {
			if !labels.SelectorFromSet(s).Matches(labels.Set(p.labels)) {
				continue
			}
			for _, c := range p.spec.Containers {
				if slices.ContainsFunc(c.Ports, func(x corev1.ContainerPort) bool { return x.Name == name }) {
					return true
				}
			}
		}
		return false
	}
	for _, s := range o.services {
		for _, p := range s.Spec.Ports {
			if !port(s.Spec.Selector, p.TargetPort.String()) {
				t.Errorf("service %s: no pod has port %s", s.Name, p.TargetPort.String())
			}
		}
	}
	for _, n := range o.policies {
		for _, rule := range n.Spec.Ingress {
			for _, p := range rule.Ports {
				if !port(n.Spec.PodSelector.MatchLabels, p.Port.String()) {
					t.Errorf("policy %s: no pod has port %s", n.Name, p.Port.String())
				}
			}
		}
	}
	guarded := 0
	for _, b := range o.budgets {
		if b.Spec.MaxUnavailable == nil || b.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("budget %s: %v", b.Name, b.Spec.MaxUnavailable)
		}
		for _, p := range pods {
			if fits(t, b.Spec.Selector, p.labels) {
				guarded++
			}
		}
	}
	if guarded != len(o.budgets) || guarded == 0 {
		t.Errorf("%d budgets guard %d kinds of pods", len(o.budgets), guarded)
	}
	for _, s := range o.stateful {
		head := slices.IndexFunc(o.services, func(x corev1.Service) bool { return x.Name == s.Spec.ServiceName })
		if head < 0 || o.services[head].Spec.ClusterIP != corev1.ClusterIPNone || !o.services[head].Spec.PublishNotReadyAddresses {
			t.Errorf("%s has no headless service that names its pods before they are ready", s.Name)
		}
		if s.Spec.Template.Spec.Affinity == nil || s.Spec.Template.Spec.Affinity.PodAntiAffinity == nil {
			t.Errorf("%s: nodes may share a machine", s.Name)
		}
	}
}

// TestJaegerIsSetUpAlike: the overlay cannot reach files outside of itself, and so has a copy.
func TestJaegerIsSetUpAlike(t *testing.T) {
	a, err := os.ReadFile(filepath.Join(root, "deploy/jaeger/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "deploy/kustomize/overlays/local/config.yaml"))
	if err != nil || string(a) != string(b) {
		t.Errorf("they differ (%v): cp deploy/jaeger/config.yaml deploy/kustomize/overlays/local/", err)
	}
}
