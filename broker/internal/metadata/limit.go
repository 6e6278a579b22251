package metadata

import (
	"maps"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// Limits bound what a user or a virtual host may have, by the limit's name. A negative
// number means no limit, 0 refuses all.
type Limits map[string]int64

// The limits' names.
const (
	MaxConnections = "max-connections" // of a user or a virtual host
	MaxChannels    = "max-channels"    // of a user
	MaxQueues      = "max-queues"      // of a virtual host
)

var (
	userLimits  = []string{MaxConnections, MaxChannels}
	vhostLimits = []string{MaxConnections, MaxQueues}
)

// Of returns the limit of that name, if there is one.
func (l Limits) Of(name string) (n int64, limited bool) {
	n, ok := l[name]
	return n, ok && n >= 0
}

// LimitSet sets a limit of a user or of a virtual host: one of the two is named.
type LimitSet struct {
	User, VHost string
	Name        string
	Value       int64
}

// LimitClear removes it; without a name, all of them.
type LimitClear struct {
	User, VHost string
	Name        string
}

func checkLimits(l Limits, known []string) *fault.Error {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if !slices.Contains(known, name) {
			return fault.New(fault.PreconditionFailed, "Unrecognised terms [{<<\"%s\">>,%d}] in limits; allowed are %s",
				name, l[name], strings.Join(known, " and "))
		}
	}
	return nil
}

func (s *State) limitSet(c *LimitSet) *fault.Error {
	return s.changeLimits(c.User, c.VHost, func(l Limits, known []string) (Limits, *fault.Error) {
		if f := checkLimits(Limits{c.Name: c.Value}, known); f != nil {
			return nil, f
		}
		return with(l, c.Name, c.Value), nil
	})
}

func (s *State) limitClear(c *LimitClear) *fault.Error {
	return s.changeLimits(c.User, c.VHost, func(l Limits, _ []string) (Limits, *fault.Error) {
		if l = without(l, c.Name); c.Name == "" || len(l) == 0 {
			return nil, nil
		}
		return l, nil
	})
}

func (s *State) changeLimits(user, vhost string, change func(Limits, []string) (Limits, *fault.Error)) *fault.Error {
	if user == "" {
		v := s.VHosts[vhost]
		if v == nil {
			return fault.New(fault.NotFound, "no vhost '%s'", vhost)
		}
		l, f := change(v.Limits, vhostLimits)
		if f == nil {
			v.Limits = l
		}
		return f
	}
	u, f := s.User(user)
	if f != nil {
		return f
	}
	l, f := change(u.Limits, userLimits)
	if f != nil {
		return f
	}
	changed := *u
	changed.Limits = l
	s.setUser(&changed)
	return nil
}

// roomFor checks that the virtual host may have one more queue.
func (v *VHost) roomFor(d *Queue) *fault.Error {
	n, limited := v.Limits.Of(MaxQueues)
	if !limited || d.Internal {
		return nil
	}
	count := int64(0)
	for _, q := range v.Queues {
		if q.IsStore() == nil && !q.Internal {
			count++
		}
	}
	if count >= n {
		return fault.New(fault.PreconditionFailed, "cannot declare queue '%s': queue limit in vhost '%s' (%d) is reached", d.Name, v.Name, n)
	}
	return nil
}
