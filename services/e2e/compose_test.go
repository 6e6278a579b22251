package e2e

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/internal/tracecheck"
)

const composeOrders = 20

// TestCompose brings the containers up as people do, with each profile, and orders something. Between two halves of the orders a broker
// is killed.
func TestCompose(t *testing.T) {
	for _, profile := range []string{"default", "postgres", "rabbitmq", "tls", "chaos", "load", "observability"} {
		t.Run(profile, func(t *testing.T) {
			s := composed(t, profile)
			s.firstTrace()
			s.hardened()
			t.Logf("%s: %d containers use %d MB", profile, len(s.containers()), s.memory()>>20)
			if profile == "chaos" {
				s.leaderKilledByItsAgent()
			}
			s.ordersWithoutABroker()
			s.strangersStayOut()
		})
	}
}

// firstTrace places an order and waits for its trace.
func (s stack) firstTrace() {
	s.t.Helper()
	begin := time.Now()
	var o order
	if err := s.placeOne(s.t.Context(), 1, &o); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, tracePatience, func() error {
		var a tracesAnswer
		_, err := call(s.t.Context(), http.MethodGet, s.TracesURL()+"/api/traces/"+o.TraceID, nil, &a)
		return err
	})
	s.t.Logf("the order's trace can be seen after %.1f s", time.Since(begin).Seconds())
	orders := []order{o}
	eventually(s.t, endPatience, s.ended(orders, 1))
	eventually(s.t, tracePatience, func() error {
		var a tracesAnswer
		if _, err := call(s.t.Context(), http.MethodGet, s.TracesURL()+"/api/traces/"+o.TraceID, nil, &a); err != nil {
			return err
		}
		return tracecheck.Whole(a.Data[0], orders[0].Status)
	})
}

// hardened: nobody runs as root or writes to its own files, and nothing is published but on this machine.
func (s stack) hardened() {
	s.t.Helper()
	for name, c := range s.containers() {
		host := c.HostConfig
		for what, ok := range map[string]bool{
			"runs as root":               c.Config.User != "" && c.Config.User != "0" && c.Config.User != "root",
			"may write to its files":     host.ReadonlyRootfs,
			"keeps capabilities":         len(host.CapDrop) == 1 && strings.EqualFold(host.CapDrop[0], "ALL") && len(host.CapAdd) == 0,
			"may get new privileges":     len(host.SecurityOpt) == 1 && host.SecurityOpt[0] == "no-new-privileges:true",
			"has no limit of memory":     host.Memory > 0,
			"is privileged":              !host.Privileged,
			"sees the engine's socket":   !slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool { return strings.HasSuffix(m.Source, "docker.sock") }),
			"uses the machine's network": !host.NetworkMode.IsHost(),
		} {
			if !ok {
				s.t.Errorf("%s %s", name, what)
			}
		}
		for port, bindings := range host.PortBindings {
			for _, b := range bindings {
				if b.HostIP.String() != "127.0.0.1" {
					s.t.Errorf("%s publishes %s at %s", name, port, b.HostIP)
				}
			}
		}
		for _, setting := range c.Config.Env {
			if key, value, _ := strings.Cut(setting, "="); strings.HasSuffix(key, "PASSWORD") && value != "" {
				s.t.Errorf("%s has a password in its environment: %s", name, key)
			}
		}
	}
}

// ordersWithoutABroker: half of the orders are placed, a node is killed, and the rest is placed; all come to their end.
func (s stack) ordersWithoutABroker() {
	s.t.Helper()
	half := make(chan struct{})
	killed := make(chan error, 1)
	go func() { // ends with half, which place closes
		<-half
		killed <- s.kill(system.BrokerName(2))
	}()
	orders := s.place(s.t, composeOrders, half)
	if err := <-killed; err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, endPatience, s.ended(orders, composeOrders))
	s.t.Logf("%d orders with a broker killed between them: %v", composeOrders, countEnds(orders))
	if out, err := s.compose(s.t.Context(), engineTimeout, "up", "--wait", "--no-deps", "--no-recreate", system.BrokerName(2)); err != nil {
		s.t.Errorf("the broker does not come back: %v\n%s", err, out)
	}
}

// leaderKilledByItsAgent: the switch kills the broker that leads, and an order comes to its end all the same.
func (s stack) leaderKilledByItsAgent() {
	s.t.Helper()
	url := s.ConductorURL() + failure.Path
	if _, err := call(s.t.Context(), http.MethodPut, url+"/"+string(failure.LeaderKilled), failure.Turn{Seconds: 20}, nil); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, time.Minute, func() error {
		var l failure.List
		if _, err := call(s.t.Context(), http.MethodGet, url, nil, &l); err != nil {
			return err
		}
		for _, x := range l.Items {
			if x.Kind == failure.LeaderKilled && x.Hits > 0 {
				return nil
			}
		}
		return errors.New("nobody was killed")
	})
	orders := make([]order, 1)
	if err := s.placeOne(s.t.Context(), 2, &orders[0]); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, endPatience, s.ended(orders, 1))
	// The switch runs out, and the node comes back.
	if out, err := s.compose(s.t.Context(), engineTimeout, "up", "--wait", "--no-recreate"); err != nil {
		s.t.Errorf("a broker does not come back: %v\n%s", err, out)
	}
}

// strangersStayOut: guest is not let in from outside, the operator is.
func (s stack) strangersStayOut() {
	s.t.Helper()
	out, err := s.compose(s.t.Context(), engineTimeout, "run", "--rm", "--no-deps", "credentials", "show", "operator")
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	for login, want := range map[[2]string]int{{"guest", "guest"}: http.StatusUnauthorized, {"operator", strings.TrimSpace(string(out))}: http.StatusOK} {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.ManagementURL(1)+"/api/overview", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.SetBasicAuth(login[0], login[1])
		resp, err := client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			s.t.Errorf("%s at the management API: %d, not %d", login[0], resp.StatusCode, want)
		}
	}
}
