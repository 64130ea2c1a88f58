package log

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/engram-stream/engram/internal/fault"
)

// complete fills the defaults in and checks the limits against each other.
func (o Options) complete() (Options, error) {
	o.RollBytes = cmp.Or(o.RollBytes, DefaultRollBytes)
	o.PendingBytes = cmp.Or(o.PendingBytes, DefaultPending)
	o.MinBackoff = cmp.Or(o.MinBackoff, defaultMinBackoff)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, defaultMaxBackoff)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Salt == nil {
		o.Salt = randomSalt
	}
	if o.OnFailure == nil {
		o.OnFailure = func(_ error, discard func() LSN) { discard() }
	}
	return o, o.check()
}

func (o Options) check() error {
	switch {
	case o.FS == nil || o.Dir == "":
		return fault.New(fault.Internal, "a log needs a file system and a folder")
	case o.RollBytes < minRollBytes:
		return fault.New(fault.InvalidArgument, "a segment of %d bytes is too small", o.RollBytes).
			WithField("segment").WithHint("at least %d bytes; 256MiB is the default", minRollBytes)
	case o.PendingBytes < recordWeight || o.PendingBytes > maxPendingBytes:
		return fault.New(fault.InvalidArgument, "%d pending bytes are not between %d and %d", o.PendingBytes, recordWeight, maxPendingBytes)
	case o.RollBytes+o.largestGroup() > MaxSegmentBytes:
		return fault.New(fault.InvalidArgument, "a segment of %d bytes is too large", o.RollBytes).
			WithField("segment").WithHint("at most %d bytes", MaxSegmentBytes-o.largestGroup())
	}
	return nil
}

// largestGroup bounds the bytes of one group: what the pending limit admits, twice for the heads and the small records
// that ride along, and one record that is let in alone.
func (o Options) largestGroup() int64 { return 2*o.PendingBytes + MaxRecordBytes }

func randomSalt() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: see crypto/rand
	return binary.LittleEndian.Uint64(b[:])
}

func segmentName(number uint64) string { return fmt.Sprintf("%020d.seg", number) }

// unnamed is the path of a segment whose header is not durable yet. What a crash leaves there is overwritten.
func unnamed(o Options) string { return o.FS.PathJoin(o.Dir, "next.seg") }
