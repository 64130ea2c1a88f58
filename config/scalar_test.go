package config

import (
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/internal/fault"
)

// level reads itself from text, and writes before it looks.
type level struct{ word string }

func (l *level) UnmarshalText(text []byte) error {
	l.word = string(text)
	switch l.word {
	case "low", "high":
		return nil
	case "middle":
		return fault.New(fault.InvalidArgument, "there is no middle").WithHint("low or high")
	}
	return errors.New("no level")
}

func TestATypeThatReadsItself(t *testing.T) {
	for text, want := range map[string]misfit{
		"high":   {},
		"middle": {"x: there is no middle", "low or high"},
		"blue":   {"x: no level", ""},
	} {
		value := level{"low"}
		r := newReader("p.yaml", nil)
		r.value(&yaml.Node{Kind: yaml.ScalarNode, Value: text}, "x", reflect.ValueOf(&value).Elem())
		if want.message == "" {
			assert.Equal(t, level{text}, value)
			assert.Empty(t, r.problems)
			continue
		}
		assert.Equal(t, level{"low"}, value, "a failed attempt leaves the value as it was")
		assert.Equal(t, want, misfit{r.problems[0].Message, r.problems[0].Hint})
	}
}

func TestNumbersKeepToTheirType(t *testing.T) {
	type all struct {
		I8  int8
		U8  uint8
		U64 uint64
		F32 float32
	}
	read := func(text string) (all, []string) {
		var root yaml.Node
		assert.NoError(t, yaml.Unmarshal([]byte(text), &root))
		var v all
		r := newReader("p.yaml", nil)
		r.value(root.Content[0], "", reflect.ValueOf(&v).Elem())
		var said []string
		for _, d := range r.problems {
			said = append(said, d.Message+"; "+d.Hint)
		}
		return v, said
	}
	v, said := read("{i8: -128, u8: 255, u64: 18446744073709551615, f32: 0.5}")
	assert.Empty(t, said)
	assert.Equal(t, all{-128, 255, 1<<64 - 1, 0.5}, v)

	v, said = read("{i8: 128, u8: 256, u64: -1, f32: 1e39}")
	assert.Equal(t, []string{
		"i8: 128 is out of range; from -128 to 127", "u8: 256 is out of range; from 0 to 255",
		"u64: -1 is negative; 0 or more", "f32: want a number, got the number 1e39; ",
	}, said)
	assert.Zero(t, v)

	_, said = read("{i8: 0x10, u8: 010, u64: 1_0, f32: _}")
	assert.Equal(t, []string{"i8: want a whole number, got the number 0x10; ", "f32: want a number, got the text \"_\"; "}, said)
}

func TestAListIsSetWholeOrNotAtAll(t *testing.T) {
	var root yaml.Node
	assert.NoError(t, yaml.Unmarshal([]byte("[1, two]"), &root))
	pair, list := [2]int{7, 8}, []int{9}
	r := newReader("p.yaml", nil)
	r.value(root.Content[0], "pair", reflect.ValueOf(&pair).Elem())
	r.value(root.Content[0], "list", reflect.ValueOf(&list).Elem())
	assert.Len(t, r.problems, 2)
	assert.Equal(t, [2]int{7, 8}, pair)
	assert.Equal(t, []int{9}, list)
}
