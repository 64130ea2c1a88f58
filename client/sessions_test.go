package client

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/timestamppb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// ListSessions, of the admin service, has three pages.
func (f *flowServer) ListSessions(_ context.Context, r *connect.Request[engramv1.ListSessionsRequest]) (*connect.Response[engramv1.ListSessionsResponse], error) {
	page, next := 0, "1"
	if token := r.Msg.GetPageToken(); token != "" {
		page = int(token[0] - '0')
		next = string(token[0] + 1)
	}
	if page == 2 {
		next = ""
	}
	one := &engramv1.Session{
		SessionId: fmt.Sprint("s", page), Space: r.Msg.GetSpace(), State: engramv1.Session_State(1 + page%2), Epoch: 3, CommittedThrough: 7,
	}
	if page == 1 {
		one.ExpiresAt = timestamppb.New(time.Unix(60, 0))
	}
	return connect.NewResponse(&engramv1.ListSessionsResponse{Sessions: []*engramv1.Session{one}, NextPageToken: next}), nil
}

// EndSession, of the admin service, knows the session s1.
func (f *flowServer) EndSession(_ context.Context, r *connect.Request[engramv1.EndSessionRequest]) (*connect.Response[engramv1.EndSessionResponse], error) {
	if r.Msg.GetSessionId() != "s1" {
		return nil, refusal(connect.CodeNotFound, "the session is unknown or has expired", "SESSION_EXPIRED")
	}
	return connect.NewResponse(&engramv1.EndSessionResponse{
		Session: &engramv1.Session{SessionId: "s1", Space: "notes", State: engramv1.Session_STATE_ENDED, Epoch: 2, CommittedThrough: 9},
	}), nil
}

func TestSessionsAreListedOverAllPagesAndEnded(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	c := connectTo(t, f.address)
	got, err := c.Sessions(ctx, "notes")
	require.NoError(t, err)
	assert.Equal(t, []SessionInfo{
		{ID: "s0", Space: "notes", State: SessionAttached, Epoch: 3, Committed: 7},
		{ID: "s1", Space: "notes", State: SessionDetached, Epoch: 3, Committed: 7, ExpiresAt: time.Unix(60, 0).UTC()},
		{ID: "s2", Space: "notes", State: SessionAttached, Epoch: 3, Committed: 7},
	}, got)
	ended, err := c.EndSession(ctx, "s1")
	require.NoError(t, err)
	assert.Equal(t, &SessionInfo{ID: "s1", Space: "notes", State: SessionEnded, Epoch: 2, Committed: 9}, ended)
	_, err = c.EndSession(ctx, "s2")
	require.ErrorIs(t, err, ErrSessionExpired)
	assert.EqualError(t, err, "engram: end session: the session is unknown or has expired")
	for state, word := range map[SessionState]string{SessionAttached: "attached", SessionDetached: "detached", SessionEnded: "ended", 9: "state(9)"} {
		assert.Equal(t, word, state.String())
	}
}

func errEnded() error {
	return wireError(connect.CodeNotFound, "the session has been ended by an operator", &errdetails.ErrorInfo{Reason: "SESSION_EXPIRED"})
}

// A session that an operator ends takes what the server still acks, fails what is left, and stays away.
func TestASessionThatIsEndedFromOutside(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		sent := observe(t, s, 2)
		pass(time.Second)
		w.batch()
		w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_ENDED})
		late := observe(t, s, 1)
		pass(time.Second)
		assert.Nil(t, w.next(), "nothing is sent after a GoAway")
		w.ack(1)
		w.lose(errEnded())
		<-s.Done()
		pass(time.Hour)
		assert.Empty(t, p.dials, "it did not dial again")
		require.NoError(t, sent[0].Wait(t.Context()))
		for _, lost := range []*Pending{sent[1], late[0]} {
			require.ErrorIs(t, lost.Wait(t.Context()), ErrSessionExpired)
		}
		require.ErrorIs(t, s.Err(), ErrSessionExpired)
		assert.ErrorContains(t, s.Err(), "ended by an operator")
	})
}

// One that loses its connection just then asks once more, and is told.
func TestAnEndedSessionIsNotResumedForEver(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_ENDED})
		p.refuse = errEnded()
		w.lose(io.EOF)
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrSessionExpired)
	})
}
