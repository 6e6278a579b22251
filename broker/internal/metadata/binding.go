package metadata

import (
	"encoding/json"
	"unicode/utf8"
)

// binding is a Binding in JSON, which knows no other text than UTF-8: a key may be any
// bytes, and then is kept as such.
type binding struct {
	Source      string
	Destination string
	ToExchange  bool
	Key         string
	KeyBytes    []byte `json:",omitempty"`
	Args        Args
}

// MarshalJSON encodes the binding.
func (b Binding) MarshalJSON() ([]byte, error) {
	j := binding{Source: b.Source, Destination: b.Destination, ToExchange: b.ToExchange, Key: b.Key, Args: b.Args}
	if !utf8.ValidString(b.Key) {
		j.Key, j.KeyBytes = "", []byte(b.Key)
	}
	return json.Marshal(j)
}

// UnmarshalJSON decodes the binding.
func (b *Binding) UnmarshalJSON(raw []byte) error {
	var j binding
	if err := json.Unmarshal(raw, &j); err != nil {
		return err
	}
	if len(j.KeyBytes) > 0 {
		j.Key = string(j.KeyBytes)
	}
	*b = Binding{Source: j.Source, Destination: j.Destination, ToExchange: j.ToExchange, Key: j.Key, Args: j.Args}
	return nil
}
