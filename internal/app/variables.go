package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
)

const envPrefix = "ENGRAM_"

// MisspeltVariables returns a warning for each variable of an environment ("NAME=value") that looks like one of engram's,
// and is none. Others that begin so are left alone: a pipeline file may use variables of any name. known are the names
// that are no setting's.
func MisspeltVariables(environment []string, known ...string) (warnings []string) {
	config.FromEnvironment(func(name string) (string, bool) { // it asks for each that it knows
		known = append(known, name)
		return "", false
	})
	short := make([]string, len(known))
	for i, name := range known {
		short[i] = strings.TrimPrefix(name, envPrefix) // the prefix would make any two look alike
	}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(known, name) {
			continue
		}
		if hint := graph.DidYouMean(rest, short); strings.HasPrefix(hint, "did you mean") {
			hint = strings.Replace(hint, `"`, `"`+envPrefix, 1)
			warnings = append(warnings, fmt.Sprintf("the environment variable %s sets nothing; %s", name, hint))
		}
	}
	return warnings
}
