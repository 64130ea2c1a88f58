package shard

import "fmt"

// BySpace is the one key to split by: a space is whole on one lane, which keeps its order.
const BySpace = "space"

const mostWorkers = 64

// Config is the settings of the stage in a pipeline file.
type Config struct {
	By      string `yaml:"by"`      // the key: space
	Workers int    `yaml:"workers"` // lanes, each with a goroutine for every stage after it
}

// Check implements config's Checker.
func (c *Config) Check(report func(field, message, hint string)) {
	if c.By != BySpace {
		report("by", fmt.Sprintf("%q is not known", c.By), "the one choice is "+BySpace)
	}
	if c.Workers < 1 || c.Workers > mostWorkers {
		report("workers", fmt.Sprintf("%d is out of range", c.Workers), fmt.Sprintf("give 1 to %d", mostWorkers))
	}
}
