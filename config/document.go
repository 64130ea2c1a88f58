package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// These bound the search for the line of a syntax error, which parses the file once a line, and the parser is not
// linear in the worst case (2 s measured at these limits). Of a larger file, such as no pipeline is, one gets the
// line that the parser names, which is where the construct began, or the one before.
const (
	maxLocateLines = 200
	maxLocateBytes = 16 << 10
)

// parseDocument returns the mapping at the root of the one document in data, or the reason why there is none.
func parseDocument(file string, data []byte) (*yaml.Node, *graph.Diagnostic) {
	refuse := func(line, column int, message, hint string) (*yaml.Node, *graph.Diagnostic) {
		return nil, &graph.Diagnostic{Pos: graph.Position{File: file, Line: line, Column: column}, Message: message, Hint: hint}
	}
	if len(data) > MaxFileBytes {
		return refuse(1, 1, fmt.Sprintf("the file is larger than %d bytes", MaxFileBytes), "a pipeline is a few dozen lines; is this the right file?")
	}
	docs, err := readYAML(data)
	if err != nil {
		line, column, message, hint := syntaxError(data, err)
		return refuse(line, column, message, hint)
	}
	if len(docs) == 0 || docs[0].Kind == yaml.ScalarNode && docs[0].ShortTag() == "!!null" {
		return refuse(1, 1, "the file is empty", `a file with only "version: 1" runs the default pipeline`)
	}
	root := docs[0]
	if len(docs) > 1 {
		return refuse(docs[1].Line, docs[1].Column, "a second document begins here", "one file holds one pipeline: remove the --- line or split the file")
	}
	if root.Kind != yaml.MappingNode {
		return refuse(root.Line, root.Column, "want a mapping (key: value), got "+describe(root), `begin with "version: 1"`)
	}
	return root, nil
}

// readYAML returns the root nodes of the first two documents: more are never needed.
func readYAML(data []byte) (roots []*yaml.Node, err error) {
	defer func() {
		// The parser asserts on some malformed input; whatever it met, the file is not a pipeline.
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	for len(roots) < 2 {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return roots, nil
		} else if err != nil {
			return nil, err
		}
		roots = append(roots, doc.Content...)
	}
	return roots, nil
}

var parserPrefix = regexp.MustCompile(`^yaml: (line (\d+): )?`)

// syntaxError words what the parser found and finds its place.
func syntaxError(data []byte, err error) (line, column int, message, hint string) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	line = 1
	if m := parserPrefix.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[2]); err == nil {
			line = n
		}
	}
	if len(lines) <= maxLocateLines && len(data) <= maxLocateBytes {
		line = firstBadLine(lines)
	}
	line = min(line, len(lines))
	text := lines[line-1]
	indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
	column = len(indent) + 1
	message = "not valid YAML: " + parserPrefix.ReplaceAllString(err.Error(), "")
	switch tab := bytes.IndexByte(indent, '\t'); {
	case tab >= 0:
		return line, tab + 1, "a tab in the indentation", "YAML is indented with spaces"
	case !utf8.Valid(text):
		hint = "the line is not UTF-8 text"
	case strings.Contains(string(text), "${"):
		hint = `inside { } and [ ] a variable needs quotes: "${NAME}"`
	}
	return line, column, message, hint
}

// firstBadLine returns the line, from 1, after the longest run of lines that is valid by itself. The parser's own
// numbers point at the begin of the enclosing construct, or the line before it.
func firstBadLine(lines [][]byte) int {
	for good := len(lines) - 1; good > 0; good-- {
		if _, err := readYAML(bytes.Join(lines[:good], nil)); err == nil {
			return good + 1
		}
	}
	return 1
}
