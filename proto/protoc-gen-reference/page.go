package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// page is a page of the reference while it is written.
type page struct {
	strings.Builder
	links links
}

func render(file *protogen.File, links links) string {
	p := &page{links: links}
	p.line("<!-- Written by `make proto` from proto/%s. Change the comments there. -->", file.Desc.Path())
	p.line("# %s\n", file.Desc.Path())
	p.line("Every name and number of the file, with the rules that a request is held to: what breaks one is `INVALID_ARGUMENT`.")
	p.line("[What they mean together](../README.md) is written for people.\n")
	p.prose(packageComment(file))
	for _, s := range file.Services {
		p.service(s)
	}
	p.types(file.Enums, file.Messages)
	return strings.TrimRight(p.String(), "\n") + "\n"
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// prose writes a comment as paragraphs.
func (p *page) prose(comment string) {
	if text := unindent(comment); text != "" {
		p.line("%s\n", text)
	}
}

func (p *page) service(s *protogen.Service) {
	p.line("## %s\n", s.Desc.Name())
	p.prose(string(s.Comments.Leading))
	p.line("| call | takes | answers | what it does |")
	p.line("| --- | --- | --- | --- |")
	for _, m := range s.Methods {
		p.line("| `%s` | %s | %s | %s |", m.Desc.Name(), p.streamed(m.Desc.IsStreamingClient(), m.Input),
			p.streamed(m.Desc.IsStreamingServer(), m.Output), cell(string(m.Comments.Leading)))
	}
	p.line("")
}

func (p *page) streamed(many bool, m *protogen.Message) string {
	if many {
		return "stream of " + p.links.to(m.Desc)
	}
	return p.links.to(m.Desc)
}

// types writes enums and messages, those inside of a message after it.
func (p *page) types(enums []*protogen.Enum, messages []*protogen.Message) {
	for _, e := range enums {
		p.enum(e)
	}
	for _, m := range messages {
		if !m.Desc.IsMapEntry() {
			p.message(m)
			p.types(m.Enums, m.Messages)
		}
	}
}

func (p *page) enum(e *protogen.Enum) {
	p.line("### %s\n", shortName(e.Desc))
	p.prose(string(e.Comments.Leading))
	p.line("| value | number | meaning |")
	p.line("| --- | --- | --- |")
	for _, v := range e.Values {
		p.line("| `%s` | %d | %s |", v.Desc.Name(), v.Desc.Number(), cell(commentsOf(v.Comments)))
	}
	p.line("")
}

func (p *page) message(m *protogen.Message) {
	p.line("### %s\n", shortName(m.Desc))
	p.prose(string(m.Comments.Leading))
	if len(m.Fields) == 0 {
		p.line("No fields.\n")
		return
	}
	p.line("| field | number | type | rules | meaning |")
	p.line("| --- | --- | --- | --- | --- |")
	for _, f := range m.Fields {
		p.line("| `%s` | %d | %s | %s | %s |", f.Desc.Name(), f.Desc.Number(), p.links.typeOf(f.Desc), cell(rulesAnd(f)), cell(commentsOf(f.Comments)))
	}
	p.line("")
}

// rulesAnd adds to a field's rules that it is one of several.
func rulesAnd(f *protogen.Field) string {
	rules := rulesOf(f.Desc)
	if f.Oneof == nil || f.Oneof.Desc.IsSynthetic() {
		return rules
	}
	one := "one of `" + string(f.Oneof.Desc.Name()) + "`"
	if rules == "" {
		return one
	}
	return one + ", " + rules
}

func commentsOf(c protogen.CommentSet) string { return string(c.Leading) + string(c.Trailing) }

// cell puts a comment into one cell of a table.
func cell(comment string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(comment), " "), "|", `\|`)
}

// unindent removes the space that follows the slashes of each line.
func unindent(comment string) string {
	var lines []string
	for line := range strings.Lines(comment) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, " \n"), " "))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// packageComment is what stands above a file's package clause.
func packageComment(file *protogen.File) string {
	const packageField = 2 // of a FileDescriptorProto
	path := protoreflect.SourcePath{packageField}
	located := file.Desc.SourceLocations().ByPath(path)
	detached := strings.Join(located.LeadingDetachedComments, "\n")
	return detached + located.LeadingComments
}
