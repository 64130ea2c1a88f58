package admit

import (
	"fmt"

	"github.com/engram-stream/engram/internal/session"
)

// Config is the settings of the stage in a pipeline file.
type Config struct {
	// The part of the budget in use from which clients are told to send less.
	// Range: above 0.1, below `reject_at`
	SlowDownAt float64 `yaml:"slow_down_at"`
	// The part from which what comes is refused, to be sent again.
	// Range: above 0.1, up to 1
	RejectAt float64 `yaml:"reject_at"`
}

// Check implements config's Checker. A state must begin above the relief by which it is left.
func (c *Config) Check(report func(field, message, hint string)) {
	hint := fmt.Sprintf("give a part of the budget above %v, up to 1", session.Relief)
	inRange := func(field string, at float64) bool {
		ok := at > session.Relief && at <= 1 // false for NaN
		if !ok {
			report(field, fmt.Sprintf("%v is out of range", at), hint)
		}
		return ok
	}
	slow, reject := inRange("slow_down_at", c.SlowDownAt), inRange("reject_at", c.RejectAt)
	if slow && reject && c.SlowDownAt >= c.RejectAt {
		report("slow_down_at", fmt.Sprintf("%v is not below reject_at, which is %v", c.SlowDownAt, c.RejectAt), "slow clients down before refusing them")
	}
}
