package clients

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// client is one way to make calls. Whatever kind a call is of, its messages are sent, its sending side is closed, and
// what comes back is read to the end.
type client interface {
	// call makes one call. Where enough is not nil, the client hangs up after the first message that is. The status is
	// that of the server, or of the client where it does not come so far; its details are those of the wire.
	call(ctx context.Context, c call, enough func(proto.Message) bool) ([]proto.Message, *status.Status)
}

// call is a method and what is sent to it.
type call struct {
	method protoreflect.MethodDescriptor
	send   []proto.Message
}

// procedure returns the method's path, such as engram.v1.MemoryService/Get.
func (c call) procedure() string {
	return string(c.method.Parent().FullName()) + "/" + string(c.method.Name())
}

const protocolPackage protoreflect.FullName = "engram.v1"

// newCall reads the messages of a call from JSON.
func newCall(t *testing.T, method string, texts ...string) call {
	t.Helper()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protocolPackage + "." + protoreflect.FullName(method))
	require.NoError(t, err)
	c := call{method: found.(protoreflect.MethodDescriptor)}
	for _, text := range texts {
		message := newMessage(c.method.Input())
		require.NoError(t, protojson.Unmarshal([]byte(text), message), text)
		c.send = append(c.send, message)
	}
	return c
}

// newMessage returns an empty message of the generated type.
func newMessage(of protoreflect.MessageDescriptor) proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		panic(err) // the generated code registers all of them
	}
	return kind.New().Interface()
}

// methods lists every method that the protocol has, as Service.Method.
func methods() []string {
	var all []string
	protoregistry.GlobalFiles.RangeFilesByPackage(protocolPackage, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, string(service.Name())+"."+string(service.Methods().Get(j).Name()))
			}
		}
		return true
	})
	return all
}

func broken(err error) *status.Status {
	return status.New(codes.Unknown, "the test's client: "+err.Error())
}
