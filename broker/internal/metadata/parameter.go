package metadata

import (
	"encoding/json"
	"maps"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// GlobalSet sets a global parameter: a value that operators keep with the cluster.
type GlobalSet struct {
	Name  string
	Value json.RawMessage
}

// GlobalClear removes one.
type GlobalClear struct{ Name string }

// The global parameters that mean something here.
const (
	ClusterName   = "cluster_name"
	globalsMax    = 1024
	globalSizeMax = 64 << 10
)

func (s *State) globalSet(g *GlobalSet) *fault.Error {
	switch {
	case g.Name == "" || !validName(g.Name):
		return fault.New(fault.PreconditionFailed, "the name of global parameter '%s' is empty, longer than %d bytes, or not UTF-8", g.Name, nameBytesMax)
	case len(g.Value) > globalSizeMax || !json.Valid(g.Value):
		return fault.New(fault.PreconditionFailed, "the value of global parameter '%s' is longer than %d bytes, or not JSON", g.Name, globalSizeMax)
	case s.Globals[g.Name] == nil && len(s.Globals) >= globalsMax:
		return fault.New(fault.PreconditionFailed, "there are %d global parameters, which is all there may be", globalsMax)
	}
	if g.Name == ClusterName {
		var name string
		if json.Unmarshal(g.Value, &name) != nil || name == "" {
			return fault.New(fault.PreconditionFailed, "the name of a cluster is a text that is not empty, not %s", g.Value)
		}
	}
	s.Globals = with(s.Globals, g.Name, g.Value)
	return nil
}

func (s *State) globalClear(g *GlobalClear) *fault.Error {
	if s.Globals[g.Name] == nil {
		return fault.New(fault.NotFound, "no global parameter '%s'", g.Name)
	}
	s.Globals = maps.Clone(s.Globals)
	delete(s.Globals, g.Name)
	return nil
}

// ClusterNameDefault is what a cluster is called that nobody has named.
const ClusterNameDefault = "warren"

// NameOfCluster returns the name that the operators gave the cluster, else the default.
func (s *State) NameOfCluster() string {
	var name string
	if json.Unmarshal(s.Globals[ClusterName], &name) != nil {
		return ClusterNameDefault
	}
	return name
}
