package shard

import "fmt"

// BySpace is the one key to split by: one worker at a time has a space, so its order is kept.
const BySpace = "space"

const mostWorkers = 64

// Config is the settings of the stage in a pipeline file.
type Config struct {
	// What is kept in order: all observations of a space.
	// Range: `space`
	By string `yaml:"by"`
	// Workers of each stage behind it. Each has its spaces, and takes over another's when it has nothing to do.
	// Range: 1 to 64
	Workers int `yaml:"workers"`
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
