package embed

import "fmt"

const mostWorkers = 64

// Config is the settings of the stage in a pipeline file.
type Config struct {
	// Sessions whose texts are embedded at once; what waits is at most an eighth of the budget, 16,384 observations and 16 MiB.
	// Range: 1 to 64
	Workers int `yaml:"workers"`
}

// Check implements config's Checker.
func (c *Config) Check(report func(field, message, hint string)) {
	if c.Workers < 1 || c.Workers > mostWorkers {
		report("workers", fmt.Sprintf("%d is out of range", c.Workers), fmt.Sprintf("give 1 to %d", mostWorkers))
	}
}
