package log

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDir = "data/journal"

func testOptions(fs vfs.FS) Options {
	salt := uint64(0x5a17)
	return Options{FS: fs, Dir: testDir, RollBytes: 32 << 10, Salt: func() uint64 { salt++; return salt }}
}

// text is a payload of one item a string.
func text(items ...string) *Payload {
	p := NewPayload()
	for _, s := range items {
		p.Add(func(dst []byte) []byte { return append(dst, s...) })
	}
	return p
}

// mustOpen opens a log and returns the items it holds, as read by the scan.
func mustOpen(t testing.TB, o Options) (*Log, Recovery, []string) {
	t.Helper()
	var items []string
	l, r, err := Open(o, func(e Entry) error {
		for _, it := range e.Items {
			items = append(items, string(it))
		}
		return nil
	})
	require.NoError(t, err)
	return l, r, items
}

// put appends one record and returns its receipt.
func put(t testing.TB, l *Log, kind Kind, meta string, items ...string) Receipt {
	t.Helper()
	r, err := l.Reserve(context.Background(), 1)
	require.NoError(t, err)
	receipt, err := l.Append(r, Record{Kind: kind, Meta: []byte(meta), Payload: text(items...)})
	require.NoError(t, err)
	return receipt
}

func durable(t testing.TB, r Receipt) {
	t.Helper()
	<-r.Commit.Done()
	require.NoError(t, r.Commit.Err())
}

func TestItemsAreReadByOrdinalAndAfterReopen(t *testing.T) {
	o := testOptions(vfs.NewMem())
	l, _, items := mustOpen(t, o)
	require.Empty(t, items)
	var want []string
	for i := range 200 {
		s := fmt.Sprintf("item %d", i)
		want = append(want, s, s+" again")
		r := put(t, l, 1, "meta", s, s+" again")
		require.EqualValues(t, 2*i+1, r.FirstOrdinal)
		durable(t, r)
	}
	check := func(l *Log) {
		for i, s := range want {
			b, err := l.Read(Ordinal(i+1), nil)
			require.NoError(t, err)
			require.Equal(t, s, string(b))
		}
	}
	check(l)
	require.NoError(t, l.Close())
	l, rec, items := mustOpen(t, o)
	require.Equal(t, want, items)
	require.Zero(t, rec.TruncatedBytes)
	require.EqualValues(t, 400, rec.Items)
	check(l)
	require.NoError(t, l.Close())
}
