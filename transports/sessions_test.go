package transports

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func TestSessionsArePaged(t *testing.T) {
	h := newHarness()
	for i := range 250 {
		st := session.Status{SessionID: fmt.Sprintf("s%03d", i), Space: []string{"faces", "birds"}[i%2], State: session.Attached, Epoch: 2}
		if i == 7 {
			st.State, st.Expires = session.Detached, time.Unix(60, 0)
		}
		h.journal.listed = append(h.journal.listed, st)
	}
	for space, want := range map[string]int{"": 250, "birds": 125, "nowhere": 0} {
		for _, size := range []uint32{0, 1, 125, 1000} {
			var got []*engramv1.Session
			request := &engramv1.ListSessionsRequest{Space: space, PageSize: size}
			for {
				page, err := h.ListSessions(t.Context(), request)
				require.NoError(t, err)
				assert.LessOrEqual(t, len(page.GetSessions()), pageSize(size))
				got = append(got, page.GetSessions()...)
				if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
					break
				}
				assert.Len(t, page.GetSessions(), pageSize(size), "a page that is not the last is full")
			}
			require.Len(t, got, want, "%q by %d", space, size)
			for i := range got[:max(want-1, 0)] {
				require.Less(t, got[i].GetSessionId(), got[i+1].GetSessionId())
			}
		}
	}
	page, err := h.ListSessions(t.Context(), &engramv1.ListSessionsRequest{PageSize: 1, PageToken: "s006"})
	require.NoError(t, err)
	assert.Equal(t, "s007", page.GetNextPageToken())
	assert.Equal(t, engramv1.Session_STATE_DETACHED, page.GetSessions()[0].GetState())
	assert.EqualValues(t, 60, page.GetSessions()[0].GetExpiresAt().GetSeconds())
	page, err = h.ListSessions(t.Context(), &engramv1.ListSessionsRequest{PageSize: 1})
	require.NoError(t, err)
	assert.Nil(t, page.GetSessions()[0].GetExpiresAt(), "an attached session does not expire")
}

// What is told to be committed has to be findable: an index that has not got there holds the answer up, or fails it.
func TestASessionIsToldOnceWhatItCommittedIsFindable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, welcome := h.open(t)
		defer w.Abort()
		id := welcome.GetSessionId()
		h.journal.sessions[id].Committed, h.journal.sessions[id].Version = 7, 40
		got, err := h.GetSession(t.Context(), &engramv1.GetSessionRequest{SessionId: id, ResumeToken: []byte("token")})
		require.NoError(t, err)
		assert.EqualValues(t, 7, got.GetSession().GetCommittedThrough())
		assert.Equal(t, []memory.Version{40}, h.index.waited)
		_, err = h.GetSession(t.Context(), &engramv1.GetSessionRequest{SessionId: id, ResumeToken: []byte("guess")})
		assert.Equal(t, fault.PermissionDenied, fault.KindOf(err))
		h.index.unpublished = fault.New(fault.Unavailable, "the space is degraded")
		_, err = h.GetSession(t.Context(), &engramv1.GetSessionRequest{SessionId: id})
		require.ErrorContains(t, err, "degraded")
	})
}

func requireEnded(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
	require.Equal(t, "SESSION_EXPIRED", fault.As(err).Reason)
}

// The stream of an ended session is told to go away; what it has in flight is settled and acked before it ends, and each
// item is counted once.
func TestAnEndedSessionsStreamSettlesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, welcome := h.open(t)
		w.in <- observeFrame(1, "a", "b")
		require.Len(t, w.frames(), 1)
		h.pipeline.hold = true
		w.in <- observeFrame(3, "c")
		require.Empty(t, w.frames())
		ended, err := h.EndSession(t.Context(), &engramv1.EndSessionRequest{SessionId: welcome.GetSessionId()})
		require.NoError(t, err)
		assert.Equal(t, engramv1.Session_STATE_ENDED, ended.GetSession().GetState())
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, engramv1.GoAway_REASON_ENDED, got[0].GetGoAway().GetReason())
		assert.EqualValues(t, 2, got[0].GetGoAway().GetCommittedThrough())
		assert.Empty(t, w.result, "the stream ended before the verdict on what it had accepted")
		h.pipeline.release()
		got = w.frames()
		require.Len(t, got, 1)
		assert.EqualValues(t, 3, got[0].GetAck().GetCommittedThrough())
		requireEnded(t, <-w.result)
		assert.Equal(t, session.Tally{Offered: 3, Accepted: 3}, h.hub.Tally())
		_, err = h.EndSession(t.Context(), &engramv1.EndSessionRequest{SessionId: welcome.GetSessionId()})
		requireEnded(t, err)
	})
}

// A session that is ended between its opening and its stream's entry in the hub has a stream that nobody tells.
func TestASessionEndedWhileItsStreamOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.journal.granted = func(id string) {
			_, err := h.EndSession(t.Context(), &engramv1.EndSessionRequest{SessionId: id})
			assert.NoError(t, err)
		}
		w, _ := h.open(t)
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, engramv1.GoAway_REASON_ENDED, got[0].GetGoAway().GetReason())
		requireEnded(t, <-w.result)
	})
}

// A Goodbye that wants its session ended finds that somebody has been faster: it is what was asked for.
func TestAGoodbyeToAnEndedSession(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		ended bool
	}{
		"ended already": {errUnknown(), true}, "taken over": {fault.New(fault.Aborted, "taken over"), false},
		"the disk fails": {fault.New(fault.StorageUnavailable, "no"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				h.journal.ending = c.err
				w, _ := h.open(t)
				w.in <- goodbyeFrame(true)
				got := w.frames()
				require.Len(t, got, 1)
				require.NotNil(t, got[0].GetClosed())
				assert.Equal(t, c.ended, got[0].GetClosed().GetSessionEnded())
				require.NoError(t, <-w.result)
			})
		})
	}
}

// Whatever order a Goodbye and an operator's end come in, the stream ends, once.
func TestAnEndDuringAGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, welcome := h.open(t)
		h.pipeline.hold = true
		w.in <- observeFrame(1, "a")
		w.in <- goodbyeFrame(true)
		require.Empty(t, w.frames())
		_, err := h.EndSession(context.Background(), &engramv1.EndSessionRequest{SessionId: welcome.GetSessionId()})
		require.NoError(t, err)
		got := w.frames()
		require.Len(t, got, 1)
		assert.NotNil(t, got[0].GetGoAway())
		h.pipeline.release()
		got = w.frames()
		require.Len(t, got, 1)
		assert.EqualValues(t, 1, got[0].GetAck().GetCommittedThrough())
		requireEnded(t, <-w.result)
		assert.Empty(t, h.journal.ended)
	})
}

// A session whose space is deleted while the sessions are listed is left out; the others are still told.
func TestASessionThatGoesWithItsSpaceIsNotListed(t *testing.T) {
	h := newHarness()
	h.journal.listed = []session.Status{
		{SessionID: "s1", Space: "faces", State: session.Attached, Epoch: 1, Committed: 4, Version: 4},
		{SessionID: "s2", Space: "birds", State: session.Attached, Epoch: 1},
	}
	h.index.unpublished = fault.New(fault.NotFound, "it does not exist").WithReason("SPACE_NOT_FOUND")
	page, err := h.ListSessions(t.Context(), &engramv1.ListSessionsRequest{})
	require.NoError(t, err)
	require.Len(t, page.GetSessions(), 1)
	require.Equal(t, "s2", page.GetSessions()[0].GetSessionId())
	h.index.unpublished = fault.New(fault.Unavailable, "the space is degraded")
	_, err = h.ListSessions(t.Context(), &engramv1.ListSessionsRequest{})
	require.ErrorContains(t, err, "degraded")
}
