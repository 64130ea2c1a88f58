package client

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Watch tells where it begins and no more, until there is no space.
func (f *flowServer) Watch(ctx context.Context, r *connect.Request[engramv1.WatchRequest], s *connect.ServerStream[engramv1.WatchResponse]) error {
	f.mu.Lock()
	deleted := f.deleted
	f.mu.Unlock()
	if deleted {
		return refusal(connect.CodeNotFound, "it does not exist", "SPACE_NOT_FOUND")
	}
	err := s.Send(&engramv1.WatchResponse{Frame: &engramv1.WatchResponse_Started_{Started: &engramv1.WatchResponse_Started{
		Version: max(r.Msg.GetFromVersion(), 7), Incarnation: 1,
	}}})
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// TestAWatchTellsOfItsConnection: that it is lost, that it is back, and that the space which was there has been deleted.
func TestAWatchTellsOfItsConnection(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	var told []EventKind
	connected := 0
	event := func(e Event) {
		told = append(told, e.Kind)
		switch e.Kind {
		case EventConnected:
			assert.EqualValues(t, 7, e.Sequence)
			if connected++; connected == 2 {
				f.mu.Lock()
				f.deleted = true
				f.mu.Unlock()
			}
			f.stop()
		case EventDisconnected:
			require.Error(t, e.Err)
			assert.Positive(t, e.After)
			if told[len(told)-2] == EventConnected { // not the second try in a row
				f.start(f.address)
			}
		}
	}
	var notices []NoticeKind
	for n, err := range connectTo(t, f.address).Watch(ctx, "notes", WatchOptions{OnEvent: event}) {
		if err != nil {
			require.EqualError(t, err, `engram: watch: the space "notes" has been deleted`)
			continue
		}
		notices = append(notices, n.Kind)
	}
	assert.Equal(t, []NoticeKind{NoticeStarted}, notices)
	assert.Equal(t, []EventKind{EventConnected, EventDisconnected, EventConnected, EventDisconnected}, told)
	for _, err := range connectTo(t, f.address).Watch(ctx, "notes", WatchOptions{}) {
		require.ErrorContains(t, err, "it does not exist", "it never was there")
	}
}

// silence takes requests and answers none.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAWatchOfASilentServerIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New("engram:1", WithHTTPClient(&http.Client{Transport: silence{}}))
		require.NoError(t, err)
		began := time.Now()
		for _, err := range c.Watch(t.Context(), "notes", WatchOptions{}) {
			require.ErrorIs(t, err, ErrUnreachable)
			require.EqualError(t, err, "engram: watch: engram:1 did not answer within 15s")
		}
		assert.Equal(t, welcomeTimeout, time.Since(began))
	})
}

func TestAServerThatDoesNotAnswerPingsIsUnreachable(t *testing.T) {
	c, err := New("engram:1")
	require.NoError(t, err)
	e := c.describe("recall", connect.NewError(connect.CodeUnknown, errors.New("http2: client connection lost")))
	require.ErrorIs(t, e, ErrUnreachable)
	assert.EqualError(t, e, "engram: recall: engram:1 does not answer")
}

// TestAGraphMovesNoWatch: it tells of what was told before, so the next stream begins where it would have.
func TestAGraphMovesNoWatch(t *testing.T) {
	w := &watcher{request: &engramv1.WatchRequest{}}
	w.behind(9)
	n, ok := w.notice(&engramv1.WatchResponse{Frame: &engramv1.WatchResponse_Event_{Event: &engramv1.WatchResponse_Event{
		Kind: engramv1.EventKind_EVENT_KIND_GRAPHED, Version: 5,
	}}})
	assert.True(t, ok)
	assert.Equal(t, Notice{Kind: NoticeGraphed, Version: 5, Resume: 9}, n)
	assert.EqualValues(t, 9, w.request.GetFromVersion())
	assert.Equal(t, []engramv1.EventKind{engramv1.EventKind_EVENT_KIND_GRAPHED}, kindsToWire([]NoticeKind{NoticeGraphed}))
}
