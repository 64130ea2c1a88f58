package journal

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/journal/log"
)

// The kinds of records. A number is never given to another kind.
const (
	kindUnit    log.Kind = 1
	kindSpace   log.Kind = 2
	kindOpened  log.Kind = 3
	kindResumed log.Kind = 4
	kindEnded   log.Kind = 5
	kindDeleted log.Kind = 6
)

// record is what a log record's meta holds: all that the state needs, so that data and dedup state are the same bytes.
// Times are nanoseconds since 1970, by the server's clock.
//
//	unit     | space | incarnation | session | epoch | first sequence | count | base version | flags | received | rejected runs |
//	space    | space | incarnation | dimension | metric | created | embedder |
//	opened   | session | space | token hash, 32 bytes | detach ttl | time | writer |
//	resumed  | session | epoch | last committed | time | writer |
//	ended    | session | epoch | time |
//	deleted  | space | incarnation | time |
//
// Rejected runs say which ops of a unit are rejected, run-length encoded: | n | n × (skip, count, code, reason, field) |,
// where skip counts the ops between the run before and this one.
type record interface {
	kind() log.Kind
	append(dst []byte) []byte
}

// unitRecord is a commit unit: count ops of one session, numbered from first on, with versions from base on.
type unitRecord struct {
	Space       string
	Incarnation uint64
	Session     string
	Epoch       uint64
	First       uint64
	Count       uint64
	Base        memory.Version
	Unary       bool
	Remember    bool
	At          int64
	Rejected    []rejectedRun

	Ordinal log.Ordinal // of the first op; no part of the bytes: the log numbers its items itself
}

// rejectedRun is a run of adjacent ops of a unit rejected for one reason: Count of them from index Start on.
type rejectedRun struct {
	Start, Count uint64
	memory.Rejection
}

// spaceRecord creates a space, or fixes the dimension, metric and embedder of one that had no dimension.
type spaceRecord struct {
	Space       string
	Incarnation uint64
	Dimension   int
	Metric      memory.Metric
	At          int64
	Embedder    string
}

type openedRecord struct {
	Session   string
	Space     string
	TokenHash [32]byte
	TTL       time.Duration
	At        int64
	Writer    string
}

// resumedRecord begins an epoch. LastCommitted is what the client said that it knows to be committed.
type resumedRecord struct {
	Session       string
	Epoch         uint64
	LastCommitted uint64
	At            int64
	Writer        string
}

type endedRecord struct {
	Session string
	Epoch   uint64
	At      int64
}

// deletedRecord deletes a space, with its memories and its sessions.
type deletedRecord struct {
	Space       string
	Incarnation uint64
	At          int64
}

func (*unitRecord) kind() log.Kind    { return kindUnit }
func (*spaceRecord) kind() log.Kind   { return kindSpace }
func (*openedRecord) kind() log.Kind  { return kindOpened }
func (*resumedRecord) kind() log.Kind { return kindResumed }
func (*endedRecord) kind() log.Kind   { return kindEnded }
func (*deletedRecord) kind() log.Kind { return kindDeleted }

const (
	flagUnary    = 1
	flagRemember = 2
)

func (u *unitRecord) append(dst []byte) []byte {
	dst = appendString(dst, u.Space)
	dst = binary.AppendUvarint(dst, u.Incarnation)
	dst = appendString(dst, u.Session)
	dst = binary.AppendUvarint(dst, u.Epoch)
	dst = binary.AppendUvarint(dst, u.First)
	dst = binary.AppendUvarint(dst, u.Count)
	dst = binary.AppendUvarint(dst, uint64(u.Base))
	dst = append(dst, u.flags())
	dst = binary.AppendVarint(dst, u.At)
	dst = binary.AppendUvarint(dst, uint64(len(u.Rejected)))
	next := uint64(0)
	for _, run := range u.Rejected {
		dst = binary.AppendUvarint(dst, run.Start-next)
		dst = binary.AppendUvarint(dst, run.Count)
		dst = appendRejection(dst, run.Rejection)
		next = run.Start + run.Count
	}
	return dst
}

func (u *unitRecord) flags() (f byte) {
	if u.Unary {
		f |= flagUnary
	}
	if u.Remember {
		f |= flagRemember
	}
	return f
}

func (r *reader) unit() *unitRecord {
	u := &unitRecord{
		Space: r.string(), Incarnation: r.uvarint(), Session: r.string(), Epoch: r.uvarint(), First: r.uvarint(),
		Count: r.uvarint(), Base: memory.Version(r.uvarint()),
	}
	flags := r.byte()
	u.Unary, u.Remember = flags&flagUnary != 0, flags&flagRemember != 0
	u.At = r.varint()
	if flags > flagUnary|flagRemember || u.First == 0 || u.Count == 0 || u.Count > log.MaxItems {
		r.fail()
	}
	u.Rejected = r.rejectedRuns(u.Count)
	return u
}

func (r *reader) rejectedRuns(ops uint64) []rejectedRun {
	n := r.count(5)
	if n == 0 {
		return nil
	}
	runs, next := make([]rejectedRun, n), uint64(0)
	for i := range runs {
		skip, count := r.uvarint(), r.uvarint()
		if skip > ops || count == 0 || count > ops || next+skip+count > ops {
			r.fail()
			return nil
		}
		runs[i] = rejectedRun{Start: next + skip, Count: count, Rejection: r.rejection()}
		next += skip + count
	}
	return runs
}

func (s *spaceRecord) append(dst []byte) []byte {
	dst = appendString(dst, s.Space)
	dst = binary.AppendUvarint(dst, s.Incarnation)
	dst = binary.AppendUvarint(dst, uint64(s.Dimension))
	dst = append(dst, byte(s.Metric))
	dst = binary.AppendVarint(dst, s.At)
	return appendString(dst, s.Embedder)
}

func (r *reader) space() *spaceRecord {
	s := &spaceRecord{Space: r.string(), Incarnation: r.uvarint()}
	dimension := r.uvarint()
	if dimension > memory.MaxDimension {
		r.fail()
	}
	s.Dimension, s.Metric, s.At, s.Embedder = int(dimension), memory.Metric(r.byte()), r.varint(), r.string()
	if s.Metric < memory.Cosine || s.Metric > memory.L2 || len(s.Embedder) > memory.MaxEmbedder {
		r.fail()
	}
	return s
}

func (o *openedRecord) append(dst []byte) []byte {
	dst = appendString(dst, o.Session)
	dst = appendString(dst, o.Space)
	dst = append(dst, o.TokenHash[:]...)
	dst = binary.AppendUvarint(dst, uint64(o.TTL))
	dst = binary.AppendVarint(dst, o.At)
	return appendString(dst, o.Writer)
}

func (r *reader) opened() *openedRecord {
	o := &openedRecord{Session: r.string(), Space: r.string()}
	copy(o.TokenHash[:], r.take(32))
	ttl := r.uvarint()
	if ttl > math.MaxInt64 {
		r.fail()
	}
	o.TTL, o.At, o.Writer = time.Duration(ttl), r.varint(), r.string()
	return o
}

func (e *resumedRecord) append(dst []byte) []byte {
	dst = appendString(dst, e.Session)
	dst = binary.AppendUvarint(dst, e.Epoch)
	dst = binary.AppendUvarint(dst, e.LastCommitted)
	dst = binary.AppendVarint(dst, e.At)
	return appendString(dst, e.Writer)
}

func (r *reader) resumed() *resumedRecord {
	return &resumedRecord{
		Session: r.string(), Epoch: r.uvarint(), LastCommitted: r.uvarint(), At: r.varint(), Writer: r.string(),
	}
}

func (e *endedRecord) append(dst []byte) []byte {
	dst = appendString(dst, e.Session)
	dst = binary.AppendUvarint(dst, e.Epoch)
	return binary.AppendVarint(dst, e.At)
}

func (r *reader) ended() *endedRecord {
	return &endedRecord{Session: r.string(), Epoch: r.uvarint(), At: r.varint()}
}

func (d *deletedRecord) append(dst []byte) []byte {
	dst = appendString(dst, d.Space)
	dst = binary.AppendUvarint(dst, d.Incarnation)
	return binary.AppendVarint(dst, d.At)
}

func (r *reader) deleted() *deletedRecord {
	return &deletedRecord{Space: r.string(), Incarnation: r.uvarint(), At: r.varint()}
}

// decodeRecord decodes a log record's meta. What it returns shares nothing with meta.
func decodeRecord(kind log.Kind, meta []byte) (rec record, err error) {
	r := &reader{b: meta}
	switch kind {
	case kindUnit:
		rec = r.unit()
	case kindSpace:
		rec = r.space()
	case kindOpened:
		rec = r.opened()
	case kindResumed:
		rec = r.resumed()
	case kindEnded:
		rec = r.ended()
	case kindDeleted:
		rec = r.deleted()
	default:
		return nil, fmt.Errorf("record of unknown kind %d", kind)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("record of kind %d: %w", kind, err)
	}
	return rec, nil
}
