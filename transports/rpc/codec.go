package rpc

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// protobuf is Connect's binary codec, with errors that name the message of the protocol instead of the server's types. limit
// is that of a message on the wire, in bytes.
type protobuf struct{ limit int }

// Name implements connect.Codec.
func (protobuf) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (c protobuf) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend lets Connect marshal into its own buffers.
func (protobuf) MarshalAppend(to []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return proto.MarshalOptions{}.MarshalAppend(to, m)
}

// Unmarshal implements connect.Codec.
func (c protobuf) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if err := checkDecoded(m, data, c.limit, countWire); err != nil {
		return err
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(data, m); err != nil {
		return fmt.Errorf("%d bytes are no %s in protobuf: %s", len(data), m.ProtoReflect().Descriptor().FullName(), plainReason(err))
	}
	return nil
}

// plainReason leaves out the prefix that the library varies on purpose; what follows it is stable enough to read.
func plainReason(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	if _, reason, found := strings.Cut(text, "proto: "); found {
		return reason
	}
	return text
}

// strictJSON is Connect's JSON, but a key or an enum value that the schema does not know is an error instead of being
// ignored: a misspelt "metric" would otherwise make a space of another one, for good. limit
// is that of a message on the wire, in bytes.
type strictJSON struct {
	name  string
	limit int
}

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
func (c strictJSON) Unmarshal(text []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if len(text) == 0 {
		return errors.New("no JSON at all; an empty request is {}")
	}
	if err := checkDecoded(m, text, c.limit, countJSON); err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(text, m); err != nil {
		return fmt.Errorf("JSON: %s", plainReason(err))
	}
	return nil
}
