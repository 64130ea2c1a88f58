package pipeline

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// object is a JSON Schema, or a part of one (draft 2020-12).
type object map[string]any

// What a text has to look like. A variable may stand for any scalar, and what it holds is known only when engram starts.
const (
	variablePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`
	groupedPattern  = `^-?[0-9]+(_[0-9]+)+(\.[0-9_]+)?$` // a number to engram, and a text to parsers of YAML 1.2
	sizePattern     = `^ *[0-9]+(\.[0-9]*)? *([KkMmGgTt][Ii]?)?[Bb]? *$`
	durationPattern = `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^0$`
	namePattern     = `^[A-Za-z][A-Za-z0-9_-]{0,62}$`
)

// schema makes the JSON Schema of a pipeline file: settings and those of the kinds as their structs have them, with what
// their comments say, as for the tables of the guide. A library that makes schemas of Go types would know none of what
// matters here: that a size and a length of time are texts, that a variable may stand for any scalar, and that a node
// holds the keys of its wiring and its kind's own side by side.
func schema(t *testing.T) []byte {
	t.Helper()
	whole := mapping(t, settings(t))
	whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	whole["title"] = "engram pipeline"
	whole["required"] = []string{"version"}
	whole["dependentRequired"] = object{
		"sources": []string{"stages", "sinks"}, "stages": []string{"sources", "sinks"}, "sinks": []string{"sources", "stages"},
	}
	definitions := object{
		"variable": object{"type": "string", "pattern": variablePattern},
		"grouped":  object{"type": "string", "pattern": groupedPattern},
		"from": object{
			"description": "what feeds it, a name or a list of names",
			"anyOf":       []any{object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}, "minItems": 1}},
		},
		"edge": object{
			"description": "a bounded queue before it", "type": "object", "additionalProperties": false, "required": []string{"items", "bytes"},
			"properties": object{
				"items": anyOf(object{"type": "integer", "minimum": 1}, "grouped"),
				"bytes": sizes(1, -1),
			},
		},
		"parallel": anyOf(object{"type": "integer", "minimum": 1, "maximum": 1024}, "grouped"),
	}
	whole["$defs"] = definitions
	properties := whole["properties"].(object)
	for _, s := range []struct {
		role graph.Role
		key  string
		keys []string // that name the kind
		says string
	}{
		{graph.RoleSource, "sources", []string{"transport"}, "the ways in"},
		{graph.RoleStage, "stages", []string{"kind"}, "what an observation passes"},
		{graph.RoleSink, "sinks", []string{"to", "transport"}, "the ways out"},
	} {
		properties[s.key] = section(t, definitions, s.role, s.keys, s.says)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(whole))
	return b.Bytes()
}

// section is the schema of the nodes of a role. A node's kind is what one of the keys says, else its own name.
func section(t *testing.T, definitions object, role graph.Role, keys []string, says string) object {
	t.Helper()
	reference := func(kind string) object { return object{"$ref": "#/$defs/" + role.String() + "." + kind} }
	named := make([]any, len(keys)) // that a key names the kind
	for i, key := range keys {
		named[i] = object{"type": "object", "required": []string{key}}
	}
	var names []string
	var choose []any
	byName := object{}
	for _, kind := range kinds().Kinds(role) {
		names = append(names, kind.Name)
		definitions[role.String()+"."+kind.Name] = node(t, kind, keys)
		for _, key := range keys {
			choose = append(choose, object{
				"if":   object{"required": []string{key}, "properties": object{key: object{"const": kind.Name}}},
				"then": reference(kind.Name),
			})
		}
		byName[kind.Name] = object{"if": object{"anyOf": named}, "then": object{"$ref": "#/$defs/" + role.String()}, "else": reference(kind.Name)}
	}
	kindKeys := object{}
	for _, key := range keys {
		kindKeys[key] = anyOf(object{"enum": names})
	}
	definitions[role.String()] = object{"type": "object", "anyOf": named, "properties": kindKeys, "allOf": choose}
	return object{
		"description": says, "type": []string{"object", "null"}, "propertyNames": object{"pattern": namePattern},
		"properties": byName, "additionalProperties": object{"$ref": "#/$defs/" + role.String()},
	}
}

// node is the schema of a node of a kind: the keys of its wiring, and the kind's own.
func node(t *testing.T, kind *graph.Kind, keys []string) object {
	t.Helper()
	own := kindSettings(t, kind)
	for i := range own {
		own[i].name = strings.TrimPrefix(own[i].name, kind.Name+".")
	}
	s := mapping(t, own)
	s["description"] = kind.Doc.Summary
	properties := s["properties"].(object)
	for _, key := range keys {
		properties[key] = anyOf(object{"const": kind.Name})
	}
	if kind.Role != graph.RoleSource {
		s["type"], s["required"] = "object", []string{"from"}
		for _, key := range []string{"from", "edge"} {
			properties[key] = object{"$ref": "#/$defs/" + key}
		}
		properties["parallel"] = object{"$ref": "#/$defs/parallel"}
		if !kind.Doc.Traits.Parallel {
			properties["parallel"] = anyOf(object{"const": 1})
		}
	}
	return s
}

// mapping is the schema of settings, those with a dot in their name in mappings of their own.
func mapping(t *testing.T, settings []setting) object {
	t.Helper()
	properties := object{}
	inner := map[string][]setting{}
	for _, s := range settings {
		if name, rest, nested := strings.Cut(s.name, "."); nested {
			s.name = rest
			inner[name] = append(inner[name], s)
		} else {
			properties[name] = s.schema(t)
		}
	}
	for name, settings := range inner {
		properties[name] = mapping(t, settings)
	}
	return object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}

// schema is that of one setting.
func (s setting) schema(t *testing.T) object {
	t.Helper()
	of := s.typed(t, s.value.Type())
	of["description"] = s.meaning
	if s.limits != "" {
		of["description"] = s.meaning + "; range: " + s.limits
	}
	var fallback any
	require.NoError(t, yaml.Unmarshal([]byte(inYAML(s.value)), &fallback))
	of["default"] = fallback
	return of
}

// typed is the schema of a type, within the setting's range where that has two ends, or is of words.
func (s setting) typed(t *testing.T, of reflect.Type) object {
	t.Helper()
	low, high := s.ends(t, of)
	switch {
	case of == reflect.TypeFor[time.Duration]():
		return anyOf(object{"type": "string", "pattern": durationPattern}, "", object{"const": 0})
	case of == reflect.TypeFor[graph.ByteSize]():
		return sizes(low, high)
	case choices.MatchString(s.limits) && of.Kind() == reflect.String:
		return anyOf(object{"enum": strings.Split(strings.ReplaceAll(s.limits, "`", ""), ", ")})
	}
	switch of.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice:
		return object{"type": "array", "items": s.typed(t, of.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": s.typed(t, of.Elem()), "minItems": of.Len(), "maxItems": of.Len()}
	case reflect.Bool:
		return anyOf(object{"type": "boolean"})
	case reflect.Float64:
		return anyOf(bounded("number", low, high), "grouped")
	default:
		return anyOf(bounded("integer", low, high), "grouped")
	}
}

// anyOf is a scalar of a shape, or a variable in its place; with a number that may be grouped, and with other shapes.
func anyOf(shape object, more ...any) object {
	all := []any{shape, object{"$ref": "#/$defs/variable"}}
	for _, m := range more {
		switch m := m.(type) {
		case object:
			all = append(all, m)
		case string:
			if m != "" {
				all = append(all, object{"$ref": "#/$defs/" + m})
			}
		}
	}
	return object{"anyOf": all}
}

// sizes are numbers of bytes; the ends hold for those without a unit.
func sizes(low, high float64) object {
	return anyOf(bounded("number", low, high), "grouped", object{"type": "string", "pattern": sizePattern})
}

// bounded is a number from one end to another; without a second when that is lower.
func bounded(kind string, low, high float64) object {
	of := object{"type": kind, "minimum": low}
	switch {
	case high > low:
		of["maximum"] = high
	case high == low:
		of = object{"const": low}
	}
	return of
}

// ends are those of the setting's range; of one that says none, or not by two numbers, 0 and none.
func (s setting) ends(t *testing.T, of reflect.Type) (low, high float64) {
	t.Helper()
	if n, err := strconv.ParseFloat(s.limits, 64); err == nil {
		return n, n
	}
	m := span.FindStringSubmatch(s.limits)
	if m == nil || of.Kind() == reflect.Array {
		return 0, -1
	}
	number := func(text string) float64 {
		v := parsed(t, of, text)
		if v.CanFloat() {
			return v.Float()
		}
		return float64(v.Int())
	}
	return number(m[1]), number(m[2])
}
