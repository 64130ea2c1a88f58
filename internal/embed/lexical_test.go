package embed

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/dataset/smalllife"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

func TestWords(t *testing.T) {
	cases := map[string][]string{
		"She doesn't drink TEA, ever.": {"she", "doesnt", "drink", "tea", "ever"},
		"Straße, Zoë & co_op 42nd":     {"straße", "zoë", "co", "op", "42nd"},
		"Zoe\u0308":                    {"zoë"}, // composed
		"ｆｕｌｌ width":                   {"full", "width"},
		"緑茶が好き":                        {"緑茶が好き"}, //nolint:gosmopolitan // a script without spaces
		"tea☕time":                     {"tea", "☕", "time"},
		" \t\n.,;–—!?…()'\u0301":       nil,
		"":                             nil,
		"\xff\xfe":                     nil,
	}
	for text, want := range cases {
		assert.Equal(t, want, words(text), "%q", text)
	}
}

// TestLexicalVectorsAreForEver compares bits: a journal holds them, and a query of tomorrow meets them.
func TestLexicalVectorsAreForEver(t *testing.T) {
	for text, want := range map[string]uint32{
		"likes green tea":            0x88723c1b,
		"LIKES, green tea!":          0x88723c1b,
		"She lives in Tromsø. 緑茶 ☕":  0xade95227, //nolint:gosmopolitan // as above
		"a":                          0x00cf0bfb,
		strings.Repeat("go on ", 99): 0x60f3a178,
	} {
		var bits []byte
		for _, x := range lexicalVector(text) {
			bits = binary.LittleEndian.AppendUint32(bits, math.Float32bits(x))
		}
		assert.Len(t, bits, 4*lexicalDimension)
		assert.Equal(t, want, crc32.ChecksumIEEE(bits), "%.30q: a change of bits needs another version in lexicalIdentity", text)
	}
}

func TestLexicalVectorsAreOfLengthOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		v := lexicalVector(text)
		if len(words(text)) == 0 {
			require.Nil(t, v)
			return
		}
		require.InDelta(t, 1, dot(v, v), 1e-5)
	})
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestATextWithoutAWordIsBad(t *testing.T) {
	vectors, err := Lexical{}.Embed(t.Context(), []string{"tea", "...", "", "cake"})
	require.Equal(t, memory.BadTexts{1: noWord, 2: noWord}, err)
	require.EqualError(t, err, "2 of the texts cannot be embedded, text 1: "+noWord)
	for i, has := range []bool{true, false, false, true} {
		assert.Equal(t, has, vectors[i] != nil, "text %d", i)
	}
}

func TestLexicalLooksAtTheBeginningOfALongText(t *testing.T) {
	long := strings.Repeat("é", maxLexicalText)
	assert.Equal(t, lexicalVector(long[:maxLexicalText]), lexicalVector(long))
	assert.Len(t, firstBytes("aé", 2), 1)
}

func TestLexicalHeedsItsContext(t *testing.T) {
	ctx, cancel := contextOf(t)
	cancel()
	_, err := Lexical{}.Embed(ctx, []string{"tea"})
	assert.Equal(t, fault.Canceled, fault.KindOf(err))
}

// TestLexicalFindsTheObvious asks in other words than those of the memory, with some of the same or nearly the same.
func TestLexicalFindsTheObvious(t *testing.T) {
	all := smalllife.Memories()
	vectors := make([][]float32, len(all))
	for i, m := range all {
		vectors[i] = lexicalVector(m.Content)
	}
	for query, want := range map[string]string{
		"what does she drink":                "drinks green tea",
		"where does her sister live":         "sister Lena",
		"what is she allergic to":            "allergic to walnuts",
		"favorite book":                      "favourite book",
		"stolen bike, a bicycle":             "bicycle was stolen",
		"who has the spare key":              "spare key",
		"tomatos":                            "tomatoes", //nolint:misspell // on purpose
		"is she afraid of flying?":           "afraid of flying",
		"broken wrist":                       "left wrist",
		"mushroom risoto":                    "risotto",
		"when is the rent due":               "rent is due",
		"bread baking":                       "sourdough bread",
		"reading to children at the library": "library",
		"winter tires for the car":           "winter tyres",
	} {
		q, best, found := lexicalVector(query), math.Inf(-1), ""
		for i, v := range vectors {
			if score := dot(q, v); score > best {
				best, found = score, all[i].Content
			}
		}
		assert.Contains(t, found, want, "%q, score %.3f", query, best)
	}
}

func BenchmarkLexical(b *testing.B) {
	for _, words := range []int{10, 1000} {
		text := strings.Repeat("remember ", words)
		b.Run(fmt.Sprintf("words=%d", words), func(b *testing.B) {
			for b.Loop() {
				lexicalVector(text)
			}
		})
	}
}
