package pipeline

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
)

// span is a range as the guide writes it, when it has two ends that are values.
var span = regexp.MustCompile(`^(\S+) to (\S+( million)?)( each)?$`)

// choices is a range of words.
var choices = regexp.MustCompile("^(`[a-z-]+`(, )?)+$")

// The ranges that the guide tells are those that the code holds to: both ends are taken, and what is beyond is refused.
func TestTheRangesOfTheGuideAreTrue(t *testing.T) {
	tried := 0
	for _, kind := range allKinds() {
		for _, s := range kindSettings(t, kind) {
			tried += tryRange(t, s, func(value reflect.Value) []string {
				whole := kind.NewConfig()
				fieldByKey(reflect.ValueOf(whole).Elem(), strings.TrimPrefix(s.name, kind.Name+".")).Set(value)
				return complaints(whole)
			})
		}
	}
	for _, s := range settings(t) {
		tried += tryRange(t, s, func(value reflect.Value) []string { return fileComplaints(s.name, value) })
	}
	assert.Greater(t, tried, 20, "the ranges are not found any more")
}

// tryRange tries a setting's range, if it is one that can be tried, and returns how many it was.
func tryRange(t *testing.T, s setting, try func(reflect.Value) []string) int {
	t.Helper()
	if m := span.FindStringSubmatch(s.limits); m != nil {
		for _, end := range []struct {
			text   string
			beyond int
		}{{m[1], -1}, {m[2], 1}} {
			at := parsed(t, s.value.Type(), end.text)
			assert.NotContains(t, strings.Join(try(at), "\n"), "out of range", "%s: %s", s.name, end.text)
			assert.Contains(t, strings.Join(try(next(at, end.beyond)), "\n"), "out of range", "%s: beyond %s", s.name, end.text)
		}
		return 1
	}
	if choices.MatchString(s.limits) {
		for word := range strings.SplitSeq(s.limits, ", ") {
			assert.Empty(t, try(worded(s.value, strings.Trim(word, "`"))), s.name)
		}
		assert.NotEmpty(t, try(worded(s.value, "nonsense")), s.name)
		return 1
	}
	return 0
}

// complaints are what a kind's settings say of themselves.
func complaints(settings any) (said []string) {
	settings.(config.Checker).Check(func(field, message, _ string) { said = append(said, field+" "+message) })
	return said
}

// fileComplaints are what a pipeline file with this one setting is told about it.
func fileComplaints(key string, value reflect.Value) (said []string) {
	text := fmt.Sprint(value.Interface())
	path := strings.Split(key, ".")
	for i := len(path) - 1; i > 0; i-- {
		text = fmt.Sprintf("{ %s: %s }", path[i], text)
	}
	p, _ := config.Parse("file.yaml", []byte("version: 1\n"+path[0]+": "+text+"\n"), kinds(), nil)
	for _, d := range config.Check(p, kinds()) {
		if strings.HasPrefix(d.Message, key+": ") {
			said = append(said, d.Message)
		}
	}
	return said
}

func fieldByKey(v reflect.Value, key string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i)
		}
	}
	panic("no setting " + key)
}

// parsed reads an end of a range as a value of a setting's type; of a list, each item is it.
func parsed(t *testing.T, of reflect.Type, text string) reflect.Value {
	t.Helper()
	v := reflect.New(of).Elem()
	switch {
	case of.Kind() == reflect.Array:
		for i := range v.Len() {
			v.Index(i).Set(parsed(t, of.Elem(), text))
		}
	case of == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		require.NoError(t, err)
		v.SetInt(int64(d))
	case of == reflect.TypeFor[graph.ByteSize]():
		size, err := graph.ParseByteSize(text)
		require.NoError(t, err)
		v.SetInt(int64(size))
	case of.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		v.SetFloat(f)
	default:
		v.SetInt(number(t, text))
	}
	return v
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	text = strings.Replace(text, " million", "000000", 1)
	base, exponent, power := strings.Cut(text, "^")
	n, err := strconv.ParseInt(base, 10, 64)
	require.NoError(t, err)
	if !power {
		return n
	}
	require.Equal(t, int64(2), n)
	bits, err := strconv.Atoi(exponent)
	require.NoError(t, err)
	return 1 << bits
}

// next is the value beside one, a step up or down.
func next(v reflect.Value, step int) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			out.Index(i).Set(next(v.Index(i), step))
		}
	case reflect.Float64:
		out.SetFloat(v.Float() + float64(step)/100)
	default:
		out.SetInt(v.Int() + int64(step))
	}
	return out
}

// worded is a setting with one word: a text, or a list of one.
func worded(like reflect.Value, word string) reflect.Value {
	if like.Kind() == reflect.Slice {
		list := reflect.MakeSlice(like.Type(), 1, 1)
		list.Index(0).SetString(word)
		return list
	}
	v := reflect.New(like.Type()).Elem()
	v.SetString(word)
	return v
}
