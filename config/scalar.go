package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
)

// misfit says why a text is no value of a type, and what would be.
type misfit struct{ message, hint string }

// isScalar says whether a setting of this type is written as one word.
func isScalar(v reflect.Value) bool {
	if _, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return true
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Array:
		return false
	default:
		return true
	}
}

// scalar decodes one word. What stands in quotes is text; what a variable was put into is whatever it needs to be.
func (r *reader) scalar(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.fail(n, path, fmt.Sprintf("want %s, got %s", wanted(v.Type()), describe(n)), "")
		return
	}
	if bad := r.setScalar(n, v); bad != nil {
		if bad.message == "" {
			bad.message = fmt.Sprintf("want %s, got %s", wanted(v.Type()), describe(n))
		}
		r.fail(n, path, bad.message, bad.hint)
	}
}

func (r *reader) setScalar(n *yaml.Node, v reflect.Value) *misfit {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return setText(n.Value, v, u)
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return setDuration(n.Value, v)
	}
	if v.Kind() == reflect.String {
		if kind := n.ShortTag(); kind == "!!int" || kind == "!!float" || kind == "!!bool" {
			return &misfit{hint: fmt.Sprintf("put it in quotes: %q", n.Value)}
		}
		v.SetString(n.Value)
		return nil
	}
	if n.Style != 0 && !r.expanded[n] {
		return &misfit{hint: "leave the quotes out"}
	}
	switch v.Kind() {
	case reflect.Bool:
		return setBool(n.Value, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return setInt(n.Value, v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return setUint(n.Value, v)
	case reflect.Float32, reflect.Float64:
		return setFloat(n.Value, v)
	default:
		panic(fmt.Sprintf("config: a setting cannot be a %s", v.Type()))
	}
}

// setText lets a type read itself. A failed attempt leaves the value as it was.
func setText(text string, v reflect.Value, u encoding.TextUnmarshaler) *misfit {
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	err := u.UnmarshalText([]byte(text))
	if err == nil {
		return nil
	}
	v.Set(before)
	if f := fault.As(err); f != nil {
		return &misfit{f.Message, f.Hint}
	}
	return &misfit{message: err.Error()}
}

func setDuration(text string, v reflect.Value) *misfit {
	d, err := time.ParseDuration(text)
	if err != nil {
		return &misfit{hint: "a number with its unit: 5ms, 30s, 10m, 1h"}
	}
	if d < 0 {
		return &misfit{message: text + " is negative", hint: "a length of time is 0 or more"}
	}
	v.SetInt(int64(d))
	return nil
}

func setBool(text string, v reflect.Value) *misfit {
	if text != "true" && text != "false" {
		return &misfit{hint: "write true or false"}
	}
	v.SetBool(text == "true")
	return nil
}

func setInt(text string, v reflect.Value) *misfit {
	n, err := strconv.ParseInt(ungrouped(text), 10, v.Type().Bits())
	if err != nil {
		low := int64(math.MinInt64) >> (64 - v.Type().Bits())
		return outOfRange(err, text, low, -(low + 1))
	}
	v.SetInt(n)
	return nil
}

func setUint(text string, v reflect.Value) *misfit {
	if strings.HasPrefix(text, "-") {
		return &misfit{message: text + " is negative", hint: "0 or more"}
	}
	n, err := strconv.ParseUint(ungrouped(text), 10, v.Type().Bits())
	if err != nil {
		return outOfRange(err, text, 0, uint64(math.MaxUint64)>>(64-v.Type().Bits()))
	}
	v.SetUint(n)
	return nil
}

func setFloat(text string, v reflect.Value) *misfit {
	f, err := strconv.ParseFloat(ungrouped(text), v.Type().Bits())
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return &misfit{}
	}
	v.SetFloat(f)
	return nil
}

func outOfRange(err error, text string, low, high any) *misfit {
	if errors.Is(err, strconv.ErrRange) {
		return &misfit{text + " is out of range", fmt.Sprintf("from %v to %v", low, high)}
	}
	return &misfit{}
}

// ungrouped takes out the underscores that YAML allows in numbers: 100_000.
func ungrouped(number string) string { return strings.ReplaceAll(number, "_", "") }

// wanted words a type for an operator.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a length of time"
	case reflect.TypeFor[graph.ByteSize]():
		return "a number of bytes"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Array:
		return fmt.Sprintf("a list of %d", t.Len())
	case reflect.String, reflect.Struct: // a struct that reads itself from text
		return "text"
	default:
		return "a whole number"
	}
}

// describe words what stands in the file.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return fmt.Sprintf("a list of %d", len(n.Content))
	case yaml.AliasNode:
		return "an alias"
	default:
		return describeScalar(n)
	}
}

func describeScalar(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	default:
		return fmt.Sprintf("the text %q", shortened(n.Value))
	}
}

// maxQuoted is how much of a value a message repeats, in bytes.
const maxQuoted = 60

func shortened(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
