package log

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
)

func TestItemsAreReadByOrdinalAndAfterReopen(t *testing.T) {
	o := testOptions(vfs.NewMem())
	var want []string
	for range 3 { // three processes, one after the other
		l, _, found := mustOpen(t, o)
		require.Equal(t, want, found)
		for i := range 100 {
			s := strings.Repeat("x", i) + fmt.Sprint(len(want))
			r := put(t, l, s, "", s+" again")
			require.EqualValues(t, len(want)+1, r.FirstOrdinal)
			want = append(want, s, "", s+" again")
			durable(t, r)
		}
		require.NoError(t, l.Close())
	}
	found, rec := holds(t, o)
	require.Equal(t, want, found)
	require.Zero(t, rec.TruncatedBytes)
	require.EqualValues(t, 300, rec.Records)
	require.Greater(t, rec.Segments, 6, "segments roll")
}

// TestItemsOfAnySizeAreReadAsTheyWere: what is gathered before it is written and what is not stand side by side.
func TestItemsOfAnySizeAreReadAsTheyWere(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.RollBytes = 16 << 20
	l, _, _ := mustOpen(t, o)
	var want []string
	var last Receipt
	for i, size := range []int{1, directBytes - 1, directBytes, 7, directBytes + 1, chunkBytes, chunkBytes + 1, 3, 3*chunkBytes - 1} {
		s := strings.Repeat(string(rune('a'+i)), size)
		want = append(want, s, "after")
		last = put(t, l, s, "after")
	}
	durable(t, last)
	require.NoError(t, l.Close())
	found, _ := holds(t, o)
	require.True(t, slices.Equal(want, found))
}

func TestOnlyDurableItemsAreRead(t *testing.T) {
	gate := make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			<-gate
		}
		return nil
	}))
	l, _, _ := mustOpen(t, testOptions(fs))
	r := put(t, l, "one")
	_, err := l.Read(1, nil)
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.NoError(t, r.Commit.Err(), "undecided")
	close(gate)
	durable(t, r)
	b, err := l.Read(1, []byte("the "))
	require.NoError(t, err)
	require.Equal(t, "the one", string(b))
	for _, o := range []Ordinal{0, 2} {
		_, err = l.Read(o, nil)
		require.Equal(t, fault.NotFound, fault.KindOf(err))
	}
	require.NoError(t, l.Close())
	_, err = l.Read(1, nil)
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	_, err = tryPut(l, "two")
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.NoError(t, l.Close())
}

func TestOneAppendIsOneGroupAndKeepsItsOrder(t *testing.T) {
	o := testOptions(vfs.NewMem())
	l, _, _ := mustOpen(t, o)
	room, err := l.Reserve(context.Background(), 10)
	require.NoError(t, err)
	r, err := l.Append(room, Record{Kind: 1, Meta: []byte("no items")}, Record{Kind: 2, Payload: text("a", "b")}, Record{Kind: 3, Meta: []byte("none")})
	require.NoError(t, err)
	require.EqualValues(t, 3, r.LSN)
	require.EqualValues(t, 1, r.FirstOrdinal)
	durable(t, r)
	durable(t, put(t, l, "c"))
	require.EqualValues(t, 2, l.Stats().Groups)
	require.NoError(t, l.Close())
	var seen []string
	l, _, err = Open(o, func(e Entry) error {
		seen = append(seen, fmt.Sprint(e.LSN, e.Kind, e.Ordinal, " ", string(e.Meta), len(e.Items)))
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.Equal(t, []string{"1 1 1 no items0", "2 2 1 2", "3 3 3 none0", "4 7 3 meta of c1"}, seen)
}

func TestPayloadDropsItsFront(t *testing.T) {
	o := testOptions(vfs.NewMem())
	l, _, _ := mustOpen(t, o)
	p := text("known", "known too", "new", "newer")
	p.Drop(2)
	require.Equal(t, 2, p.Len())
	require.Equal(t, "new", string(p.Item(0)))
	room, err := l.Reserve(context.Background(), p.Bytes())
	require.NoError(t, err)
	r, err := l.Append(room, Record{Kind: 1, Payload: p})
	require.NoError(t, err)
	durable(t, r)
	require.NoError(t, l.Close())
	found, _ := holds(t, o)
	require.Equal(t, []string{"new", "newer"}, found)
}

// Appends of many goroutines go to disk in the order of their ordinals, while others read.
func TestAppendersAndReadersAtOnce(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.PendingBytes = 8 << 10
	l, _, _ := mustOpen(t, o)
	const appenders, each = 4, 300
	var wrote [appenders * each * 2]string // by ordinal
	var work sync.WaitGroup
	for a := range appenders {
		work.Go(func() {
			for i := range each {
				s := fmt.Sprintf("%d/%d", a, i)
				r := put(t, l, s, s+"'")
				wrote[r.FirstOrdinal-1], wrote[r.FirstOrdinal] = s, s+"'"
				if i%7 == 0 {
					durable(t, r)
				}
			}
		})
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { readAlong(t, l, stop) })
	}
	work.Wait()
	durable(t, put(t, l, "last"))
	close(stop)
	readers.Wait()
	require.NoError(t, l.Close())
	found, _ := holds(t, o)
	require.Equal(t, append(wrote[:], "last"), found)
}

// readAlong reads the newest durable items and replays, until it is stopped.
func readAlong(t *testing.T, l *Log, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		_, newest := l.Durable()
		for o := newest; o > 0 && o+20 > newest; o-- {
			_, err := l.Read(o, nil)
			require.NoError(t, err)
		}
		if n%50 == 0 {
			seen := Ordinal(0)
			require.NoError(t, l.Replay(context.Background(), func(e Entry) error { seen += Ordinal(len(e.Items)); return nil }))
			require.GreaterOrEqual(t, seen, newest)
		}
	}
}

func TestReplayPassesErrorsOnAndAllowsReads(t *testing.T) {
	l, _, _ := mustOpen(t, testOptions(vfs.NewMem()))
	defer func() { require.NoError(t, l.Close()) }()
	for i := range 5 {
		durable(t, put(t, l, fmt.Sprint(i)))
	}
	boom := fmt.Errorf("boom")
	err := l.Replay(context.Background(), func(e Entry) error {
		if e.LSN == 3 {
			return boom
		}
		_, err := l.Read(e.Ordinal, nil)
		return err
	})
	require.Equal(t, boom, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, l.Replay(ctx, func(Entry) error { return nil }), context.Canceled)
	_, _, err = Open(l.opts, func(Entry) error { return boom })
	require.Equal(t, boom, err)
}

// What waits for its sync is bounded: beyond it Reserve waits, and gives up with its context.
func TestPendingIsBounded(t *testing.T) {
	gate := make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			<-gate
		}
		return nil
	}))
	o := testOptions(fs)
	o.PendingBytes = 4 * recordWeight
	l, _, _ := mustOpen(t, o)
	var last Receipt
	for i := range 4 {
		last = put(t, l, fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan error)
	go func() {
		_, err := l.Reserve(ctx, 1)
		waiting <- err
	}()
	select {
	case err := <-waiting:
		t.Fatal("a fifth record found room", err)
	default:
	}
	cancel()
	require.Equal(t, fault.Canceled, fault.KindOf(<-waiting))
	expired, release := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer release()
	_, err := l.Reserve(expired, 1)
	require.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
	close(gate)
	durable(t, last)
	r, err := l.Reserve(context.Background(), MaxRecordBytes) // larger than the buffer: alone
	require.NoError(t, err)
	r.Release()
	r.Release()
	require.NoError(t, l.Close())
}

func TestOversizedRecordIsRefused(t *testing.T) {
	l, _, _ := mustOpen(t, testOptions(vfs.NewMem()))
	defer func() { require.NoError(t, l.Close()) }()
	room, err := l.Reserve(context.Background(), 1)
	require.NoError(t, err)
	p := text(strings.Repeat("x", MaxRecordBytes))
	_, err = l.Append(room, Record{Kind: 1, Payload: p})
	require.Equal(t, fault.Internal, fault.KindOf(err))
	p.Free()
	_, err = l.Append(room, Record{Kind: 1, Payload: text("fits")})
	require.NoError(t, err, "payload and reservation stayed with the caller")
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no folder":      func(o *Options) { o.Dir = "" },
		"tiny segments":  func(o *Options) { o.RollBytes = 1 },
		"huge segments":  func(o *Options) { o.RollBytes = MaxSegmentBytes },
		"endless buffer": func(o *Options) { o.PendingBytes = 1 << 40 },
	} {
		o := testOptions(vfs.NewMem())
		change(&o)
		_, _, err := Open(o, nil)
		require.Error(t, err, name)
	}
}
