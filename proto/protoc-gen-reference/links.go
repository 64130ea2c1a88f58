package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// links knows on which page each message and enum of ours stands.
type links map[protoreflect.FullName]string

func newLinks(files []*protogen.File) links {
	pages := links{}
	for _, file := range files {
		if file.Generate {
			pages.add(pageOf(file), file.Enums, file.Messages)
		}
	}
	return pages
}

func (l links) add(page string, enums []*protogen.Enum, messages []*protogen.Message) {
	for _, e := range enums {
		l[e.Desc.FullName()] = page
	}
	for _, m := range messages {
		l[m.Desc.FullName()] = page
		l.add(page, m.Enums, m.Messages)
	}
}

// to links to a type by its name, or names it when it is none of ours.
func (l links) to(d protoreflect.Descriptor) string {
	page, ours := l[d.FullName()]
	if !ours {
		return "`" + string(d.FullName()) + "`"
	}
	name := shortName(d)
	return fmt.Sprintf("[%s](%s#%s)", name, page, strings.ToLower(strings.ReplaceAll(name, ".", "")))
}

// shortName is a type's name within its package: Nack.Reason.
func shortName(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
}

// typeOf writes a field's type as the schema does.
func (l links) typeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map of %s to %s", l.single(f.MapKey()), l.single(f.MapValue()))
	case f.IsList():
		return "repeated " + l.single(f)
	case f.HasOptionalKeyword():
		return "optional " + l.single(f)
	}
	return l.single(f)
}

func (l links) single(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return l.to(f.Message())
	case f.Enum() != nil:
		return l.to(f.Enum())
	}
	return f.Kind().String()
}
