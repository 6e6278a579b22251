package metadata

import (
	"maps"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
)

// VHostPut adds a virtual host, or changes what is said of one that is there. A nil
// field leaves it as it is.
type VHostPut struct {
	Name             string
	Description      *string   `json:",omitempty"`
	Tags             *[]string `json:",omitempty"`
	DefaultQueueType *string   `json:",omitempty"` // "" for none
	Tracing          *bool     `json:",omitempty"`
	Protected        *bool     `json:",omitempty"`
	// Max is how many virtual hosts the proposer allows; 0: any number.
	Max int `json:",omitempty"`
}

// VHostDelete removes a virtual host with all that is in it.
type VHostDelete struct{ Name string }

func (s *State) vhostPut(c *VHostPut) *fault.Error {
	v := s.VHosts[c.Name]
	switch {
	case c.Name == "":
		return fault.New(fault.PreconditionFailed, "a vhost's name must not be empty")
	case !validName(c.Name):
		return fault.New(fault.PreconditionFailed, "the name of vhost '%s' is longer than %d bytes, or not UTF-8", c.Name, nameBytesMax)
	case v == nil && c.Max > 0 && len(s.VHosts) >= c.Max:
		return fault.New(fault.PreconditionFailed, "cannot create vhost '%s': vhost limit of %d is reached", c.Name, c.Max)
	}
	if t := c.DefaultQueueType; t != nil && !slices.Contains([]QueueType{"", Classic, Quorum}, QueueType(*t)) {
		return fault.New(fault.PreconditionFailed, "%s is not a valid queue type; allowed are classic and quorum", *t)
	}
	if v == nil {
		s.addVHost(c.Name)
		v = s.VHosts[c.Name]
		s.changed(Change{Kind: AccessChanged})
	}
	if c.Description != nil {
		v.Description = *c.Description
	}
	if c.Tags != nil {
		v.Tags = *c.Tags
	}
	if c.DefaultQueueType != nil {
		v.DefaultQueueType = *c.DefaultQueueType
	}
	if c.Protected != nil {
		v.Protected = *c.Protected
	}
	if c.Tracing != nil && *c.Tracing != v.Tracing {
		v.Tracing = *c.Tracing
		s.changed(Change{Kind: AccessChanged})
	}
	return nil
}

func (s *State) vhostDelete(c *VHostDelete) *fault.Error {
	v := s.VHosts[c.Name]
	if v == nil {
		return fault.New(fault.NotFound, "no vhost '%s'", c.Name)
	}
	if v.Protected {
		return fault.New(fault.PreconditionFailed, "vhost '%s' is protected from deletion", c.Name)
	}
	for _, q := range s.sortedQueues() {
		if q.VHost == v.Name {
			s.dropQueue(q)
		}
	}
	for _, x := range v.Exchanges {
		delete(s.exchanges, x.ID)
	}
	delete(s.VHosts, v.Name)
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		u := s.Users[name]
		_, allowed := u.Permissions[v.Name]
		if _, topics := u.Topics[v.Name]; !allowed && !topics {
			continue
		}
		changed := *u
		changed.Permissions, changed.Topics = without(u.Permissions, v.Name), without(u.Topics, v.Name)
		s.Users[name] = &changed
	}
	s.changed(Change{Kind: AccessChanged})
	return nil
}

// WithDefaultType returns the arguments of a declaration with the virtual host's default
// queue type, where they name none and it can be had.
func (s *State) WithDefaultType(vhost string, durable, exclusive, autoDelete bool, args message.Table) message.Table {
	v := s.VHosts[vhost]
	if _, named := args.Get(queueTypeArg); named || v == nil || v.DefaultQueueType == "" {
		return args
	}
	if v.DefaultQueueType == string(Quorum) && (!durable || exclusive || autoDelete) {
		return args
	}
	return slices.Clone(args).Set(queueTypeArg, v.DefaultQueueType)
}

const queueTypeArg = "x-queue-type"
