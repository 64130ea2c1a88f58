package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// All numbers are little-endian. All checksums are CRC32C (Castagnoli); those of a segment's frames start from its salt,
// so that bytes of another segment, or bytes inside a payload, do not pass for a frame. Groups and records begin at
// multiples of 8.
//
// A segment is a header and groups; a group is what one sync covers: a group head and records.
//
//	segment:  | header | group | group | …            group:  | group head | record | record | …
//
// Segment header, 64 bytes:
//
//	0           8       12      16      24       32          40              48             56        60     64
//	| "engrseg\n"| format|   0   | salt  | number | first LSN | first ordinal | previous end |    0    | CRC  |
//
// "previous end" is where the valid bytes of the segment before it end; what lies beyond is void, whatever it holds.
//
// Group head, 32 bytes; "offset" is its own place in the file. A group is written only once everything before it is
// synced: so a valid group head proves that all bytes before its offset had been durable, and a group head with length
// 0, written by Close, proves that nothing was under way.
//
//	0        4      8        16          24       32
//	| "EGRP" | CRC  | offset | first LSN | length |
//
// Record; the CRC covers everything from "kind" through the meta, each item has its own in the table:
//
//	0      4    5   8     16              24      28         32       36  40
//	| CRC  |kind| 0 | LSN | first ordinal | items | meta len | length | 0 | table | meta | items | 0..7 zero bytes |
//
// Table, 12 bytes an item; "offset" counts from the record's beginning:
//
//	| offset u32 | length u32 | CRC u32 |
const (
	formatVersion  = 1
	headerBytes    = 64
	groupHeadBytes = 32
	recordHead     = 40
	tableEntry     = 12
	frameAlign     = 8
)

var (
	segmentMagic = [8]byte{'e', 'n', 'g', 'r', 's', 'e', 'g', '\n'}
	groupMagic   = [4]byte{'E', 'G', 'R', 'P'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	le           = binary.LittleEndian
)

// header is a segment's decoded header.
type header struct {
	salt         uint64
	number       uint64
	firstLSN     LSN
	firstOrdinal Ordinal
	previousEnd  int64
}

func (h header) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, segmentMagic[:])
	le.PutUint32(b[8:], formatVersion)
	le.PutUint64(b[16:], h.salt)
	le.PutUint64(b[24:], h.number)
	le.PutUint64(b[32:], uint64(h.firstLSN))
	le.PutUint64(b[40:], uint64(h.firstOrdinal))
	le.PutUint64(b[48:], uint64(h.previousEnd))
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeHeader(b []byte) (header, error) {
	switch {
	case len(b) < headerBytes:
		return header{}, fmt.Errorf("segment header is cut short at %d of %d bytes", len(b), headerBytes)
	case [8]byte(b) != segmentMagic:
		return header{}, fmt.Errorf("not a journal segment: it begins with % x", b[:8])
	case le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli):
		return header{}, errors.New("segment header fails its checksum")
	case le.Uint32(b[8:]) != formatVersion:
		return header{}, formatError(le.Uint32(b[8:]))
	}
	return header{
		salt: le.Uint64(b[16:]), number: le.Uint64(b[24:]), firstLSN: LSN(le.Uint64(b[32:])),
		firstOrdinal: Ordinal(le.Uint64(b[40:])), previousEnd: int64(le.Uint64(b[48:])),
	}, nil
}

// formatError is a format version that this build does not know.
type formatError uint32

func (e formatError) Error() string {
	return fmt.Sprintf("segment has format version %d, this build reads version %d", uint32(e), formatVersion)
}

// salted returns the checksum of b in a segment with the salt.
func salted(salt uint64, b []byte) uint32 {
	return crc32.Update(uint32(salt)^uint32(salt>>32), castagnoli, b)
}

// groupHead is a group's decoded head.
type groupHead struct {
	offset   int64
	firstLSN LSN
	length   int64 // of the records that follow
}

func (g groupHead) encode(salt uint64) []byte {
	b := make([]byte, groupHeadBytes)
	copy(b, groupMagic[:])
	le.PutUint64(b[8:], uint64(g.offset))
	le.PutUint64(b[16:], uint64(g.firstLSN))
	le.PutUint64(b[24:], uint64(g.length))
	le.PutUint32(b[4:], salted(salt, b[8:]))
	return b
}

// decodeGroupHead reads the group head that lies at offset; ok is false when there is none.
func decodeGroupHead(b []byte, salt uint64, offset int64) (g groupHead, ok bool) {
	if len(b) < groupHeadBytes || [4]byte(b) != groupMagic || le.Uint32(b[4:]) != salted(salt, b[8:groupHeadBytes]) {
		return groupHead{}, false
	}
	g = groupHead{offset: int64(le.Uint64(b[8:])), firstLSN: LSN(le.Uint64(b[16:])), length: int64(le.Uint64(b[24:]))}
	return g, g.offset == offset && g.length >= 0 && g.length < MaxSegmentBytes
}

// recordFrame is a record's decoded head.
type recordFrame struct {
	kind    Kind
	lsn     LSN
	ordinal Ordinal
	items   int
	meta    int   // bytes
	length  int64 // of the whole record
}

// body returns where the items begin, from the record's beginning: the end of what the record's checksum covers.
func (r recordFrame) body() int { return recordHead + r.items*tableEntry + r.meta }

// encodeRecord builds everything before the items of a record, with the checksum still to be sealed in.
func encodeRecord(dst []byte, rec Record, lsn LSN, ordinal Ordinal) []byte {
	f := recordFrame{items: rec.Payload.Len(), meta: len(rec.Meta)}
	length := alignUp(int64(f.body() + rec.Payload.Bytes()))
	dst = append(dst[:0], make([]byte, recordHead)...)
	dst[4] = byte(rec.Kind)
	le.PutUint64(dst[8:], uint64(lsn))
	le.PutUint64(dst[16:], uint64(ordinal))
	le.PutUint32(dst[24:], uint32(f.items))
	le.PutUint32(dst[28:], uint32(f.meta))
	le.PutUint32(dst[32:], uint32(length))
	dst = rec.Payload.appendTable(dst, f.body())
	return append(dst, rec.Meta...)
}

// sealRecord writes the checksum of an encoded record head, once its segment is known.
func sealRecord(head []byte, salt uint64) { le.PutUint32(head, salted(salt, head[4:])) }

// decodeRecordHead reads the fixed part of a record; room is how many bytes it may take. Its checksum is not checked yet.
func decodeRecordHead(b []byte, room int64) (recordFrame, error) {
	f := recordFrame{
		kind: Kind(b[4]), lsn: LSN(le.Uint64(b[8:])), ordinal: Ordinal(le.Uint64(b[16:])),
		items: int(le.Uint32(b[24:])), meta: int(le.Uint32(b[28:])), length: int64(le.Uint32(b[32:])),
	}
	switch {
	case f.length > room || f.length > MaxRecordBytes || f.length%frameAlign != 0:
		return f, fmt.Errorf("record length %d does not fit the %d bytes left", f.length, room)
	case f.items > MaxItems || f.meta > MaxRecordBytes || int64(f.body()) > f.length:
		return f, fmt.Errorf("record of %d bytes can not hold %d items and %d bytes of meta", f.length, f.items, f.meta)
	}
	return f, nil
}

// items cuts the items out of a whole record b whose head is valid, checking each one's checksum.
func (r recordFrame) cut(b []byte, items [][]byte) ([][]byte, error) {
	next := r.body()
	for i := range r.items {
		t := decodeTableEntry(b[recordHead+i*tableEntry:])
		if t.offset != next || t.offset+t.length > len(b) {
			return nil, damage{at: int64(recordHead + i*tableEntry), what: fmt.Sprintf("item %d of %d lies outside its record", i+1, r.items)}
		}
		item := b[t.offset : t.offset+t.length]
		if crc32.Checksum(item, castagnoli) != t.crc {
			return nil, damage{at: int64(t.offset), what: fmt.Sprintf("item with ordinal %d fails its checksum", uint64(r.ordinal)+uint64(i))}
		}
		items = append(items, item)
		next = t.offset + t.length
	}
	if alignUp(int64(next)) != r.length {
		return nil, damage{at: int64(next), what: "record is longer than its items"}
	}
	for i, c := range b[next:] {
		if c != 0 {
			return nil, damage{at: int64(next + i), what: "padding of a record is not zero"}
		}
	}
	return items, nil
}

// tableItem is one decoded entry of a record's item table.
type tableItem struct {
	offset int // from the record's beginning
	length int
	crc    uint32
}

func decodeTableEntry(b []byte) tableItem {
	return tableItem{offset: int(le.Uint32(b)), length: int(le.Uint32(b[4:])), crc: le.Uint32(b[8:])}
}

func alignUp(n int64) int64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// damage is something wrong at a place of a segment.
type damage struct {
	at   int64
	what string
}

func (d damage) Error() string { return fmt.Sprintf("offset %d: %s", d.at, d.what) }
