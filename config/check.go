package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Checker is implemented by a kind's config type (or a struct inside it) that has more to say about its values than
// their types do: ranges, choices, one value against another. It is called on a pointer after the YAML was decoded,
// and reports each problem with the setting at fault as the file names it, relative to the struct: "max_wait",
// "items[0]", "edge.bytes", or "" for the whole. What it says of settings that could not be decoded is dropped. It
// must not fail on any value that decodes.
type Checker interface {
	Check(report func(field, message, hint string))
}

// check runs the checks of v and of every struct inside it, and says whether all is well. n stands for the whole;
// failed are the paths already reported.
func (r *reader) check(n *yaml.Node, path string, v reflect.Value, failed []string) bool {
	before := len(r.failed)
	if checker, ok := reflect.TypeAssert[Checker](v.Addr()); ok {
		checker.Check(func(field, message, hint string) {
			r.complain(n, path, join(path, field), message, hint, failed)
		})
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name, ok := settingName(v.Type().Field(i)); ok {
				r.check(n, join(path, name), v.Field(i), failed)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			r.check(n, fmt.Sprintf("%s[%d]", path, i), v.Index(i), failed)
		}
	default: // a scalar has nothing inside
	}
	return len(r.failed) == before
}

// repaired returns a config in which the settings that failed since before have their defaults, so that the others are
// judged in the wiring and the kind does not refuse those again, at a vaguer place. When some check fails even so, as
// one setting may contradict another, all have their defaults.
func (r *reader) repaired(config any, defaults func() any, path string, before int) any {
	v, fresh := reflect.ValueOf(config).Elem(), reflect.ValueOf(defaults()).Elem()
	for _, failed := range r.failed[before:] {
		setting, ok := strings.CutPrefix(failed, path+".")
		if !ok {
			continue
		}
		if end := strings.IndexAny(setting, ".["); end >= 0 {
			setting = setting[:end]
		}
		if field, ok := fieldOf(setting, v); ok {
			was, _ := fieldOf(setting, fresh)
			field.Set(was)
		}
	}
	if again := newReader(r.file, nil); !again.check(&yaml.Node{}, path, v, nil) {
		return defaults()
	}
	return config
}

func (r *reader) complain(n *yaml.Node, whole, at, message, hint string, failed []string) {
	related := func(f string) bool { return within(f, at) || within(at, f) }
	if !slices.ContainsFunc(failed, related) {
		r.fail(r.blame(n, whole, at), at, message, hint)
	}
}

// blame finds the node for a path of which the file may hold only a part, or nothing: then it is the key of the
// whole, or n.
func (r *reader) blame(n *yaml.Node, whole, path string) *yaml.Node {
	for path != whole && path != "" {
		if value := r.values[path]; value != nil {
			return value
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	if key := r.keys[whole]; key != nil {
		return key
	}
	return n
}

// within says whether path inner is outer or stands inside it.
func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
