package config

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand puts variables into a scalar: ${NAME}, ${NAME:-default} (used when NAME is unset or empty), and $$ for a
// dollar sign. What it puts in is not expanded again. Any other dollar sign stays.
func (r *reader) expand(n *yaml.Node) {
	var out strings.Builder
	rest, refused := n.Value, false
	for {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			inside, tail, closed := strings.Cut(after[1:], "}")
			value, message, hint := r.variable(inside, closed)
			if message != "" {
				r.problem(n, message, hint)
				refused = true
			}
			out.WriteString(value)
			r.expanded[n] = true
			rest = tail
		default:
			out.WriteByte('$')
			rest = after
		}
	}
	n.Value = out.String()
	if refused {
		n.Kind = 0
	}
}

func (r *reader) variable(inside string, closed bool) (value, message, hint string) {
	if !closed {
		return "", fmt.Sprintf("${%s is not closed", inside), "write ${NAME}, or $$ for a dollar sign"
	}
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !variableName.MatchString(name) {
		return "", fmt.Sprintf("${%s} does not name a variable", inside), "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign"
	}
	value, set := r.lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, "", ""
	case !set:
		return "", fmt.Sprintf("the environment variable %s is not set", name), fmt.Sprintf("set it, or give a default: ${%s:-value}", name)
	}
	return value, "", ""
}
