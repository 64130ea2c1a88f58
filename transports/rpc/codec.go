package rpc

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// strictJSON is Connect's JSON, but a key or an enum value that the schema does not know is an error instead of being
// ignored: a misspelt "metric" would otherwise make a space of another one, for good.
type strictJSON struct{ name string }

// jsonNames are the names under which Connect looks for JSON.
var jsonNames = []string{"json", "json; charset=utf-8"}

// Name implements connect.Codec.
func (c strictJSON) Name() string { return c.name }

// Marshal implements connect.Codec.
func (strictJSON) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return protojson.Marshal(m)
}

// Unmarshal implements connect.Codec.
func (strictJSON) Unmarshal(text []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if len(text) == 0 {
		return errors.New("no JSON at all; an empty request is {}")
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		// The library varies its own prefix on purpose; what follows it is stable enough to read.
		_, reason, _ := strings.Cut(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
		return fmt.Errorf("JSON: %s", reason)
	}
	return nil
}
