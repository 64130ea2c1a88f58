// Command protoc-gen-reference writes the protocol's reference: a page of Markdown for each .proto file, with every
// call, message, field, enum and validation rule, from the schema and its comments alone. `make proto` runs it.
//
// It is ours since protoc-gen-doc, the usual tool, has had no release since 2022 and does not know the rules.
package main

import (
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() { protogen.Options{}.Run(generate) }

func generate(plugin *protogen.Plugin) error {
	plugin.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
	links := newLinks(plugin.Files)
	for _, file := range plugin.Files {
		if !file.Generate {
			continue
		}
		page := plugin.NewGeneratedFile(pageOf(file), "")
		if _, err := page.Write([]byte(render(file, links))); err != nil {
			return err
		}
	}
	return nil
}

// pageOf is the name of a file's page: engram/v1/flow.proto has flow.md.
func pageOf(file *protogen.File) string {
	path := file.Desc.Path()
	return strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".proto") + ".md"
}
