package log

import (
	"hash/crc32"
	"sync"
)

// payloadPool keeps payload buffers between records; those above maxPooledBytes are left to the collector.
var payloadPool = sync.Pool{New: func() any { return new(Payload) }}

const maxPooledBytes = 8 << 20

// Payload collects the items of one record: encoded and checksummed before any lock is taken. Not safe for concurrent
// use; Append takes it over, Free gives back one that was not appended.
type Payload struct {
	buf   []byte
	ends  []int    // of each item in buf
	crcs  []uint32 // of each item
	first int      // items dropped from the front
	head  []byte   // the record's encoded head, once appended
}

// NewPayload returns an empty payload.
func NewPayload() *Payload { return payloadPool.Get().(*Payload) }

// Add appends one item: encode gets the buffer so far and returns it with the item's bytes appended.
func (p *Payload) Add(encode func(dst []byte) []byte) {
	start := len(p.buf)
	p.buf = encode(p.buf)
	p.ends = append(p.ends, len(p.buf))
	p.crcs = append(p.crcs, crc32.Checksum(p.buf[start:], castagnoli))
}

// Drop removes the first n items.
func (p *Payload) Drop(n int) { p.first += n }

// Len returns the number of items; 0 for a nil payload.
func (p *Payload) Len() int {
	if p == nil {
		return 0
	}
	return len(p.ends) - p.first
}

// Bytes returns the size of the items; 0 for a nil payload.
func (p *Payload) Bytes() int {
	if p == nil {
		return 0
	}
	return len(p.buf) - p.start(p.first)
}

// Item returns the bytes of item i, 0 <= i < Len.
func (p *Payload) Item(i int) []byte {
	i += p.first
	return p.buf[p.start(i):p.ends[i]]
}

// Free gives the buffers back. The payload must not be used afterwards. A nil payload is fine.
func (p *Payload) Free() {
	if p == nil || cap(p.buf) > maxPooledBytes {
		return
	}
	*p = Payload{buf: p.buf[:0], ends: p.ends[:0], crcs: p.crcs[:0], head: p.head[:0]}
	payloadPool.Put(p)
}

func (p *Payload) start(i int) int {
	if i == 0 {
		return 0
	}
	return p.ends[i-1]
}

func (p *Payload) items() []byte {
	if p == nil {
		return nil
	}
	return p.buf[p.start(p.first):]
}

// appendTable appends the item table; body is where the items begin in the record.
func (p *Payload) appendTable(dst []byte, body int) []byte {
	if p == nil {
		return dst
	}
	shift := body - p.start(p.first)
	for i := p.first; i < len(p.ends); i++ {
		start := p.start(i)
		dst = le.AppendUint32(dst, uint32(start+shift))
		dst = le.AppendUint32(dst, uint32(p.ends[i]-start))
		dst = le.AppendUint32(dst, p.crcs[i])
	}
	return dst
}
