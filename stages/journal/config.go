package journal

import (
	"fmt"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/stages/journal/log"
)

// The one choice that each of these settings has so far.
const (
	StoreEmbedded = "embedded" // the segmented log of this package
	FsyncAlways   = "always"   // an ack means that the bytes are synced
)

// The range of a segment's size. Offsets in a segment are 32 bits wide, and its last group may go beyond the size.
const (
	minSegment = 1 << 20
	maxSegment = 2 << 30
)

// Config is the settings of the stage in a pipeline file.
type Config struct {
	// Where observations are kept: in the data folder.
	// Range: `embedded`
	Store string `yaml:"store"`
	// When they are synced to disk: before every ack.
	// Range: `always`
	Fsync string `yaml:"fsync"`
	// The size at which a journal file is followed by a new one.
	// Range: 1MiB to 2GiB
	Segment graph.ByteSize `yaml:"segment"`
}

// Check implements config's Checker.
func (c *Config) Check(report func(field, message, hint string)) {
	if c.Store != StoreEmbedded {
		report("store", fmt.Sprintf("%q is not built yet", c.Store), "only "+StoreEmbedded+" is built")
	}
	if c.Fsync != FsyncAlways {
		report("fsync", fmt.Sprintf("%q is not built yet", c.Fsync), "only "+FsyncAlways+" is built: what is acked is synced")
	}
	if c.Segment < minSegment || c.Segment > maxSegment {
		report("segment", fmt.Sprintf("%v is out of range", c.Segment), fmt.Sprintf("give %v to %v", graph.ByteSize(minSegment), graph.ByteSize(maxSegment)))
	}
}

func defaults() Config {
	return Config{Store: StoreEmbedded, Fsync: FsyncAlways, Segment: log.DefaultRollBytes}
}

// DataDir says where the journal's files lie. The application provides it.
type DataDir interface {
	JournalDir() string
}

// Limits bound what the journal keeps in memory. The application provides them.
type Limits interface {
	SpaceLimit() int
}

// SessionPolicy says how long and how many sessions without a stream are kept. The sequence stage provides it.
type SessionPolicy interface {
	DetachTTL() time.Duration
	MaxDetached() int
}
