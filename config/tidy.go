package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// tidy walks a tree once, before anything is decoded: it refuses what a pipeline does not use (anchors, aliases,
// merge keys, tags, duplicate keys, keys that are not text) and puts variables into the scalars. A refused node gets
// Kind 0, and is skipped from then on: it has been reported.
func (r *reader) tidy(n *yaml.Node) {
	if n.Anchor != "" {
		r.problem(n, fmt.Sprintf("the anchor &%s is not allowed", n.Anchor), "write each value where it is used")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.problem(n, fmt.Sprintf("the tag %s is not allowed", n.Tag), "each key knows the type of its value: leave the tag out")
		n.Kind = 0
	}
	switch n.Kind {
	case yaml.AliasNode:
		r.problem(n, fmt.Sprintf("the alias *%s is not allowed", n.Value), "write each value where it is used")
		n.Kind = 0
	case yaml.ScalarNode:
		r.expand(n)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			r.tidy(item)
		}
	case yaml.MappingNode:
		r.tidyMapping(n)
	default: // refused above
	}
}

func (r *reader) tidyMapping(n *yaml.Node) {
	lines := map[string]int{} // where each key stood first
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch first, again := lines[key.Value], lines[key.Value] != 0; {
		case key.Kind != yaml.ScalarNode:
			r.problem(key, "a key must be a word, got "+describe(key), "")
			key.Kind = 0
		case key.Tag == "!!merge":
			r.problem(key, "the merge key << is not allowed", "write each value where it is used")
			key.Kind = 0
		case again:
			r.problem(key, fmt.Sprintf("the key %q stands here twice", key.Value), fmt.Sprintf("it stood first on line %d; keep one", first))
			key.Kind = 0
		default:
			lines[key.Value] = key.Line
			r.tidy(value)
		}
	}
}

// pairs yields the keys and values of a tidied mapping, less what was refused.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind != 0 && !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}
