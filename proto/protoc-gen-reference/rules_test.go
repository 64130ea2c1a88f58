package main

import (
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestRulesAreSaidInWords(t *testing.T) {
	for want, rules := range map[string]*validate.FieldRules{
		"":                          nil,
		"required":                  {Required: new(true)},
		"1 to 64 characters, `^a$`": {Type: &validate.FieldRules_String_{String_: &validate.StringRules{MinLen: new(uint64(1)), MaxLen: new(uint64(64)), Pattern: new("^a$")}}},
		"at most 128 bytes":         {Type: &validate.FieldRules_String_{String_: &validate.StringRules{MaxBytes: new(uint64(128))}}},
		"at most 64 bytes":          {Type: &validate.FieldRules_Bytes{Bytes: &validate.BytesRules{MaxLen: new(uint64(64))}}},
		"1 to 1024 of them":         {Type: &validate.FieldRules_Repeated{Repeated: &validate.RepeatedRules{MinItems: new(uint64(1)), MaxItems: new(uint64(1024))}}},
		"at most 9 of them, each a known value, not 0": {Type: &validate.FieldRules_Repeated{Repeated: &validate.RepeatedRules{
			MaxItems: new(uint64(9)), Items: &validate.FieldRules{Type: &validate.FieldRules_Enum{Enum: &validate.EnumRules{DefinedOnly: new(true), NotIn: []int32{0}}}},
		}}},
		"at least 1":                 {Type: &validate.FieldRules_Uint64{Uint64: &validate.UInt64Rules{GreaterThan: &validate.UInt64Rules_Gte{Gte: 1}}}},
		"a known value, not 0":       {Type: &validate.FieldRules_Enum{Enum: &validate.EnumRules{DefinedOnly: new(true), NotIn: []int32{0}}}},
		"prefix a rule without word": {Type: &validate.FieldRules_String_{String_: &validate.StringRules{Prefix: new("a rule without word")}}},
	} {
		assert.Equal(t, want, rulesOf(fieldWith(t, rules)))
	}
}

// fieldWith makes a field that carries the rules.
func fieldWith(t *testing.T, rules *validate.FieldRules) protoreflect.FieldDescriptor {
	t.Helper()
	options := &descriptorpb.FieldOptions{}
	if rules != nil {
		proto.SetExtension(options, validate.E_Field, rules)
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("f.proto"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("M"),
			Field: []*descriptorpb.FieldDescriptorProto{{
				Name: new("f"), Number: new(int32(1)), Options: options,
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0).Fields().Get(0)
}

func TestACommentIsOneCell(t *testing.T) {
	assert.Equal(t, `one \| two`, cell(" one |\n two\n"))
	assert.Equal(t, "one\n\n  - two", unindent(" one\n\n   - two\n"))
}
