package failure

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Path of the admin API.
const Path = "/admin/failures"

// Switch is a failure and its position in one process.
type Switch struct {
	Spec
	On    bool       `json:"on"`
	Value int64      `json:"value,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	Hits  int64      `json:"hits"`
}

// List is what the API answers.
type List struct {
	At    string   `json:"at"`
	Items []Switch `json:"items"`
}

// Turn asks for a failure.
type Turn struct {
	Value   int64 `json:"value,omitempty" minimum:"0" doc:"In the failure's unit; 0 for the usual"`
	Seconds int64 `json:"seconds,omitempty" minimum:"0" maximum:"600" doc:"How long; 0 for 30"`
}

type listOutput struct{ Body List }

type turnInput struct {
	Kind Kind `path:"kind"`
	Body Turn
}

type kindInput struct {
	Kind Kind `path:"kind"`
}

// Routes registers the API of a process's switches.
func Routes(api huma.API, s *Set) {
	hidden := func(method, path, id string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Hidden: true}
	}
	huma.Register(api, hidden(http.MethodGet, Path, "list-failures"), func(context.Context, *struct{}) (*listOutput, error) {
		return &listOutput{Body: s.List()}, nil
	})
	huma.Register(api, hidden(http.MethodPut, Path+"/{kind}", "turn-failure-on"), func(_ context.Context, in *turnInput) (*listOutput, error) {
		err := s.TurnOn(in.Kind, in.Body.Value, time.Duration(in.Body.Seconds)*time.Second)
		switch {
		case errors.Is(err, ErrUnknown):
			return nil, huma.Error404NotFound(err.Error())
		case err != nil:
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
		return &listOutput{Body: s.List()}, nil
	})
	huma.Register(api, hidden(http.MethodDelete, Path+"/{kind}", "turn-failure-off"), func(_ context.Context, in *kindInput) (*listOutput, error) {
		s.TurnOff(in.Kind)
		return &listOutput{Body: s.List()}, nil
	})
}

// List returns the failures that can happen here, and which of them are on.
func (s *Set) List() List {
	on := s.All()
	out := List{At: s.at, Items: []Switch{}}
	for _, spec := range Catalogue() {
		if !slices.Contains(spec.At, s.at) {
			continue
		}
		w := Switch{Spec: spec}
		if x, ok := on[spec.Kind]; ok {
			w.On, w.Value, w.Until, w.Hits = true, x.Value, &x.Until, x.Hits
		}
		out.Items = append(out.Items, w)
	}
	return out
}
