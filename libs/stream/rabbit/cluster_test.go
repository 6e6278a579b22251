package rabbit_test

import (
	"testing"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/stream"
)

// Every node of a cluster is killed once, under load, whichever of them leads.
func TestNothingIsLostWhenBrokersDie(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	s := newServiceOn(t, stream.Quorum{Enabled: true}, c.URLs()...)
	s.begin(t, true)
	s.underLoad(t, func() {
		for _, n := range c.Nodes {
			n.Kill()
			s.ready(t)
			s.send(t, -1) // the cluster works with one node less
			n.Start()
			n.AwaitReady()
		}
	})
}
