package log

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
)

// Whatever a segment holds, opening it ends without a panic: with its items, or with a fault of a known kind.
func FuzzOpen(f *testing.F) {
	clean, _ := recorded(f, 3, true)
	killed, _ := recorded(f, 3, false)
	f.Add(clean)
	f.Add(killed)
	f.Add(killed[:len(killed)-5])
	f.Add(clean[:headerBytes])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, r, err := Open(testOptions(folder(t, b)), func(e Entry) error { return nil })
		if err != nil {
			require.Contains(t, []fault.Kind{fault.Corrupt, fault.FailedPrecondition}, fault.KindOf(err))
			return
		}
		for o := range Ordinal(r.Items) {
			_, err := l.Read(o+1, nil)
			require.NoError(t, err)
		}
		require.NoError(t, l.Close())
	})
}

// The same, past the checksums: heads and tables with any numbers in them.
func FuzzRecordHead(f *testing.F) {
	f.Add(encodeRecord(nil, Record{Kind: 1, Meta: []byte("meta"), Payload: text("a", "bc")}, 1, 1), uint8(20))
	f.Fuzz(func(t *testing.T, head []byte, items uint8) {
		b := slices.Concat(head, make([]byte, items))
		if len(b) < recordHead {
			return
		}
		frame, err := decodeRecordHead(b, int64(len(b)))
		if err != nil {
			return
		}
		_, _ = frame.cut(b[:frame.length], nil) // either outcome will do, a panic will not
	})
}
