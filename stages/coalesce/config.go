package coalesce

import (
	"fmt"
	"time"
)

// The ranges of the settings.
const (
	mostItems   = 100_000
	longestWait = time.Second
)

// Config is the settings of the stage in a pipeline file.
type Config struct {
	// The part of the budget in use from which it waits for larger batches; below, nothing waits.
	// Range: 0 to 1
	Above float64 `yaml:"above"`
	// Then: the fewest items worth sending on at once; and always: the most in a batch.
	// Range: 1 to 100000 each
	Items [2]int `yaml:"items"`
	// Then: the longest that an item waits for others.
	// Range: 0s to 1s
	MaxWait time.Duration `yaml:"max_wait"`
}

// Check implements config's Checker.
func (c *Config) Check(report func(field, message, hint string)) {
	if !(c.Above >= 0 && c.Above <= 1) { // NaN fails both
		report("above", fmt.Sprintf("%v is out of range", c.Above), "give a part of the budget, 0 to 1")
	}
	for i, n := range c.Items {
		if n < 1 || n > mostItems {
			report(fmt.Sprintf("items[%d]", i), fmt.Sprintf("%d is out of range", n), fmt.Sprintf("give 1 to %d", mostItems))
		}
	}
	if c.Items[0] > c.Items[1] {
		report("items", fmt.Sprintf("the fewest, %d, are more than the most, %d", c.Items[0], c.Items[1]), "give the smaller one first")
	}
	if c.MaxWait < 0 || c.MaxWait > longestWait {
		report("max_wait", fmt.Sprintf("%v is out of range", c.MaxWait), fmt.Sprintf("give 0s to %v; it is added to the time of an ack", longestWait))
	}
}
