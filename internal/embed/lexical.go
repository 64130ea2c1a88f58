package embed

import (
	"context"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/engram-stream/engram/internal/memory"
)

// The settings of the lexical embedder. They are part of its identity: whoever changes one gives it another version.
const (
	LexicalKind      = "lexical"
	lexicalIdentity  = "lexical-v1-512"
	lexicalDimension = 512

	// maxLexicalText bounds the bytes of a text that are looked at: what comes after them changes little in 512
	// components, and would take room.
	maxLexicalText = 64 << 10

	minGram, maxGram = 3, 5

	// Weights, in units of 1/weightScale. All grams of a word together weigh as gramWeight says, so that a long word does
	// not count for more than a short one.
	weightScale  = 1 << 20
	wordWeight   = 1.0
	gramWeight   = 2.5
	commonFactor = 0.15
)

// Lexical embeds texts by their words and by the spellings of those: hashed words and character n-grams (3 to 5, with
// the word's boundaries), by signed feature hashing (Weinberger et al., "Feature Hashing for Large Scale Multitask
// Learning", 2009) into 512 components, with the square root of a feature's count, normalised to length 1.
//
// It knows no meaning. The same text gives the same bits on every platform: sums are of integers, and the floating-point
// operations are those that IEEE 754 rounds correctly.
type Lexical struct{}

// Kind implements memory.Embedder.
func (Lexical) Kind() string { return LexicalKind }

// Identity implements memory.Embedder.
func (Lexical) Identity() string { return lexicalIdentity }

// Dimension implements memory.Embedder.
func (Lexical) Dimension() int { return lexicalDimension }

// Probe implements memory.Embedder.
func (Lexical) Probe(context.Context) (int, error) { return lexicalDimension, nil }

// Embed implements memory.Embedder. A text without a word is a bad one. Between texts it heeds ctx.
func (Lexical) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	bad := memory.BadTexts{}
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, gaveUp(err)
		}
		if vectors[i] = lexicalVector(text); vectors[i] == nil {
			bad[i] = noWord
		}
	}
	if len(bad) > 0 {
		return vectors, bad
	}
	return vectors, nil
}

// noWord refuses a text that says nothing.
const noWord = "there is no word in it, only spaces or punctuation"

// lexicalVector returns nil for a text without a word.
func lexicalVector(text string) []float32 {
	counts := map[feature]int{}
	for _, word := range words(firstBytes(text, maxLexicalText)) {
		eachFeature(word, func(f feature) { counts[f]++ })
	}
	if len(counts) == 0 {
		return nil
	}
	var signed, plain [lexicalDimension]int64
	for f, n := range counts {
		value := int64(math.Sqrt(float64(n)) * float64(f.weight))
		bucket := f.hash % lexicalDimension
		plain[bucket] += value
		if f.hash>>63 != 0 {
			value = -value
		}
		signed[bucket] += value
	}
	if signed == [lexicalDimension]int64{} { // every feature met its opposite
		signed = plain
	}
	return normalised(signed[:])
}

func normalised(sums []int64) []float32 {
	var square float64
	for _, x := range sums {
		square += float64(float64(x) * float64(x)) // the conversion forbids a fused multiply-add, which rounds once
	}
	length := math.Sqrt(square)
	vector := make([]float32, len(sums))
	for i, x := range sums {
		vector[i] = float32(float64(x) / length)
	}
	return vector
}

// feature is a word, or a part of one, by its hash; words and parts are told apart by a prefix.
type feature struct {
	hash   uint64
	weight uint32
}

func eachFeature(word string, yield func(feature)) {
	factor := 1.0
	if _, ok := common[word]; ok {
		factor = commonFactor
	}
	yield(feature{hash: xxhash.Sum64String("w" + word), weight: uint32(weightScale * wordWeight * factor)})
	shortest := minGram
	if unspaced(word) {
		shortest = 1
	}
	bounded := "<" + word + ">"
	starts := runeStarts(bounded)
	runes := len(starts) - 1
	total := 0
	for n := shortest; n <= maxGram; n++ {
		total += max(runes-n+1, 0)
	}
	if total == 0 {
		return
	}
	// The square root, since vectors add by squares.
	weight := uint32(math.Sqrt(gramWeight/float64(total)) * weightScale * factor)
	for n := shortest; n <= maxGram; n++ {
		for i := 0; i+n <= runes; i++ {
			yield(feature{hash: xxhash.Sum64String("g" + bounded[starts[i]:starts[i+n]]), weight: weight})
		}
	}
}

// runeStarts lists where the runes of a text begin, and its length.
func runeStarts(s string) []int {
	starts := make([]int, 0, len(s)+1)
	for i := range s {
		starts = append(starts, i)
	}
	return append(starts, len(s))
}

// firstBytes cuts a text to so many bytes, at the border of a rune.
func firstBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.ToValidUTF8(text[:n], "")
}
