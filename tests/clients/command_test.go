package clients

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// command is a client that is a program: JSON goes in and comes out, and an error is told on standard error.
type command struct {
	line   func(c call) []string
	env    []string
	failed func(stderr []byte) (*spb.Status, error)
}

// grpcurl knows the protocol from the server's reflection alone.
func grpcurl(address string) client {
	return command{failed: statusJSON, line: func(c call) []string {
		return []string{built.grpcurl, "-plaintext", "-format-error", "-d", "@", address, c.procedure()}
	}}
}

// bufCurl is `buf curl` over one of its protocols; flags say whence it has the schema, and which HTTP it speaks.
func bufCurl(address, protocol string, flags ...string) client {
	return command{failed: connectJSON, line: func(c call) []string {
		line := append([]string{built.buf, "curl", "--protocol", protocol}, flags...)
		return append(line, "-d", "@-", "http://"+address+"/"+c.procedure())
	}}
}

// call implements client.
func (p command) call(ctx context.Context, c call, enough func(proto.Message) bool) ([]proto.Message, *status.Status) {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	var stdin, stderr bytes.Buffer
	for _, message := range c.send {
		text, err := protojson.Marshal(message)
		if err != nil {
			return nil, broken(err)
		}
		stdin.Write(append(text, '\n'))
	}
	line := p.line(c)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = root, append(cmd.Environ(), p.env...), &stdin, &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, broken(err)
	}
	if err := cmd.Start(); err != nil {
		return nil, broken(err)
	}
	got, hungUp, readErr := read(stdout, c, enough)
	if hungUp {
		hangUp()
	}
	err = cmd.Wait()
	switch {
	case hungUp || readErr == nil && err == nil:
		return got, nil
	case readErr != nil:
		return got, broken(fmt.Errorf("%w\n%s", readErr, &stderr))
	}
	said, err := p.failed(stderr.Bytes())
	if err != nil {
		return got, broken(fmt.Errorf("%w: %s", err, &stderr))
	}
	return got, status.FromProto(said)
}

// read reads messages to the end, or until one is enough.
func read(from io.Reader, c call, enough func(proto.Message) bool) (got []proto.Message, hungUp bool, err error) {
	for in := json.NewDecoder(from); ; {
		var text json.RawMessage
		if err := in.Decode(&text); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return got, false, err
		}
		message := newMessage(c.method.Output())
		if err := protojson.Unmarshal(text, message); err != nil {
			return got, false, err
		}
		got = append(got, message)
		if enough != nil && enough(message) {
			return got, true, nil
		}
	}
}

// statusJSON reads a google.rpc.Status.
func statusJSON(text []byte) (*spb.Status, error) {
	said := &spb.Status{}
	return said, protojson.Unmarshal(text, said)
}

// connectJSON reads an error as Connect writes it in JSON.
func connectJSON(text []byte) (*spb.Status, error) {
	var said struct {
		Code    connect.Code
		Message string
		Details []struct{ Type, Value string }
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	answer := &spb.Status{Code: int32(said.Code), Message: said.Message}
	for _, d := range said.Details {
		value, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			return nil, err
		}
		answer.Details = append(answer.Details, detail(d.Type, value))
	}
	return answer, nil
}

func detail(name string, value []byte) *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + name, Value: value}
}

// details reads the details of a status; what a client could not read is missing.
func details(s *status.Status) (info *errdetails.ErrorInfo, bad *errdetails.BadRequest, retry *errdetails.RetryInfo) {
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.BadRequest:
			bad = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, bad, retry
}
