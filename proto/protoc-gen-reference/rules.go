package main

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rulesOf says in words what the schema demands of a field; what breaks one is INVALID_ARGUMENT.
func rulesOf(f protoreflect.FieldDescriptor) string {
	rules, ok := proto.GetExtension(f.Options(), validate.E_Field).(*validate.FieldRules)
	if !ok || rules == nil {
		return ""
	}
	return strings.Join(inWords(rules), ", ")
}

func inWords(rules *validate.FieldRules) (said []string) {
	if rules.GetRequired() {
		said = append(said, "required")
	}
	rules.ProtoReflect().Range(func(kind protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if kind.Message() != nil && !kind.IsList() {
			said = append(said, typeRules(string(kind.Name()), v.Message())...)
		}
		return true
	})
	return said
}

// typeRules reads the rules of one type in the order of the schema, so that the page does not change by itself.
func typeRules(kind string, m protoreflect.Message) []string {
	values := map[string]string{}
	var names []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); m.Has(f) {
			names = append(names, string(f.Name()))
			values[string(f.Name())] = valueInWords(f, m.Get(f))
		}
	}
	said := between(kind, values)
	for _, name := range names {
		if text := ruleInWords(name, values[name]); text != "" {
			said = append(said, text)
		}
	}
	return said
}

// bounds are the rules that come as a lower and an upper one, and what they count.
var bounds = []struct{ low, high, unit string }{
	{"min_len", "max_len", "characters"},
	{"min_bytes", "max_bytes", "bytes"},
	{"min_items", "max_items", "of them"},
	{"min_pairs", "max_pairs", "pairs"},
	{"gte", "lte", ""},
}

func between(kind string, values map[string]string) (said []string) {
	for _, b := range bounds {
		unit := b.unit
		if kind == "bytes" {
			unit = "bytes"
		}
		low, from := values[b.low]
		high, to := values[b.high]
		var text string
		switch {
		case from && to:
			text = low + " to " + high
		case from:
			text = "at least " + low
		case to:
			text = "at most " + high
		default:
			continue
		}
		said = append(said, strings.TrimSpace(text+" "+unit))
	}
	return said
}

// ruleInWords says what is no bound. A rule that has no words here shows by its name.
func ruleInWords(rule, value string) string {
	for _, b := range bounds {
		if rule == b.low || rule == b.high {
			return ""
		}
	}
	switch rule {
	case "defined_only": // the default: nobody expects an unknown value to be taken
		return "a known value"
	case "pattern":
		return "`" + value + "`"
	case "finite":
		return "finite"
	case "not_in":
		return "not " + value
	case "items":
		return "each " + value
	}
	return rule + " " + value
}

func valueInWords(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case f.IsList():
		var all []string
		for i := range v.List().Len() {
			all = append(all, v.List().Get(i).String())
		}
		return strings.Join(all, ", ")
	case f.Message() != nil && f.Message().FullName() == "buf.validate.FieldRules": // those of the items of a list
		return strings.Join(inWords(v.Message().Interface().(*validate.FieldRules)), ", ")
	case f.Message() != nil && f.Message().FullName() == "google.protobuf.Duration":
		seconds := v.Message().Get(f.Message().Fields().ByName("seconds")).Int()
		return fmt.Sprintf("%d s", seconds)
	}
	return v.String()
}
