package sequence

import (
	"fmt"
	"time"
)

// The ranges of the settings and their defaults. The wire schema bounds a client's own detach_ttl by the same two.
const (
	minDetachTTL = time.Minute
	maxDetachTTL = 7 * 24 * time.Hour
	mostDetached = 10_000_000

	defaultDetachTTL   = time.Hour
	defaultMaxDetached = 100_000
)

// GapNack is the one policy for a missing number: discard, and ask for it.
const GapNack = "nack"

// Config is the settings of the stage in a pipeline file.
type Config struct {
	// What to do when a session skips a number: discard what follows, and ask for it.
	// Range: `nack`
	Gap string `yaml:"gap"`
	// How long a session may be resumed after its stream is gone, unless its client asks otherwise.
	// Range: 1m to 168h
	DetachTTL time.Duration `yaml:"detach_ttl"`
	// Sessions without a stream that are kept; beyond it those nearest to their expiry go.
	// Range: 1 to 10 million
	MaxDetached int `yaml:"max_detached"`
}

// Check implements config's Checker.
func (c *Config) Check(report func(field, message, hint string)) {
	if c.Gap != GapNack {
		report("gap", fmt.Sprintf("%q is not known", c.Gap), "the one choice is "+GapNack)
	}
	if c.DetachTTL < minDetachTTL || c.DetachTTL > maxDetachTTL {
		report("detach_ttl", fmt.Sprintf("%v is out of range", c.DetachTTL), fmt.Sprintf("give %v to %v", minDetachTTL, maxDetachTTL))
	}
	if c.MaxDetached < 1 || c.MaxDetached > mostDetached {
		report("max_detached", fmt.Sprintf("%d is out of range", c.MaxDetached), fmt.Sprintf("give 1 to %d", mostDetached))
	}
}

// SessionPolicy says how long and how many sessions without a stream are kept. The stage exports it, since the
// settings stand here and the sessions are kept elsewhere. Safe for concurrent use.
type SessionPolicy interface {
	DetachTTL() time.Duration
	MaxDetached() int
}

type policy struct{ config Config }

func (p policy) DetachTTL() time.Duration { return p.config.DetachTTL }
func (p policy) MaxDetached() int         { return p.config.MaxDetached }
