package embed

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// words cuts a text into its words: runs of letters, marks and digits, in Unicode's compatibility form NFKC and lower
// case. A symbol such as an emoji is a word of its own. Apostrophes inside a word are left out: "don't" is "dont".
func words(text string) []string {
	text = strings.ToLower(norm.NFKC.String(text))
	var all []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			all = append(all, word.String())
			word.Reset()
		}
	}
	for _, r := range text {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r) && word.Len() > 0:
			word.WriteRune(r)
		case r == '\'' || r == '’':
		case unicode.Is(unicode.So, r) && r != utf8.RuneError:
			end()
			all = append(all, string(r))
		default:
			end()
		}
	}
	end()
	return all
}

// unspaced says whether a word is of a script that writes none between words, whose single characters say something.
func unspaced(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// common are the words that English sentences are held together with. They count little, since without a corpus there
// is no other way to know that "the" says less than "tea".
var common = wordSet(`a about after all also am an and any are as at be because been before being but by can could did do
does doing down during each few for from further had has have having he her here hers him his how i if in into is it its
me more most my no nor not of off on once only or other our out over own same she should so some such than that the their
them then there these they this those through to too under until up very was we were what when where which while who whom
whose why will with would you your dont doesnt didnt isnt wasnt cant wont im ive shes hes thats whats`)

func wordSet(list string) map[string]struct{} {
	set := map[string]struct{}{}
	for w := range strings.FieldsSeq(list) {
		set[w] = struct{}{}
	}
	return set
}
