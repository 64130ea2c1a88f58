package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

type listedSession struct {
	ID        string    `json:"session_id"`
	State     string    `json:"state"`
	Committed uint64    `json:"committed_through"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *server) sessions(args ...string) (found []listedSession) {
	s.t.Helper()
	r := command(s.t, "", append([]string{"sessions", "--json", "--address", s.address}, args...)...)
	require.Equal(s.t, 0, r.code, r.stderr)
	var out struct{ Sessions []listedSession }
	require.NoError(s.t, json.Unmarshal([]byte(r.stdout), &out))
	return out.Sessions
}

// TestOperatorsSeeSpacesAndEndSessions: the tool lists what there is, ends a session under a client that is connected, and
// the client learns of it and gives up; so it is after a kill too.
func TestOperatorsSeeSpacesAndEndSessions(t *testing.T) {
	t.Parallel()
	ctx, s := within(t, time.Minute), freshServer(t)
	empty := command(t, "", "spaces", "--json", "--address", s.address)
	assert.JSONEq(t, `{"spaces":[]}`, empty.stdout)
	assert.Empty(t, s.sessions())

	open := func(space string) *client.Session {
		session, err := s.client().Open(ctx, space, client.SessionOptions{})
		require.NoError(t, err)
		_, err = session.Observe(ctx, client.Observation{ID: "tea", Embedding: []float32{1, 0, 0}})
		require.NoError(t, err)
		require.NoError(t, session.Flush(ctx))
		return session
	}
	faces, birds := open("faces"), open("birds")
	_, err := birds.Detach(ctx)
	require.NoError(t, err)
	spaces := command(t, "", "spaces", "--address", s.address)
	require.Equal(t, 0, spaces.code, spaces.stderr)
	assert.Regexp(t, `(?m)^SPACE +DIMENSION +METRIC +EMBEDDER +MEMORIES +VERSION +GRAPHED +CREATED\nbirds +3 +cosine +- +1 +1 +0 +20.*\nfaces +3 +cosine +- +1 +1 +0 +20`, spaces.stdout)
	heaviest := command(t, "", "spaces", "--heaviest", "--address", s.address)
	require.Equal(t, 0, heaviest.code, heaviest.stderr)
	assert.Regexp(t, `^(SPACE +QUEUED +BUSY +STAGE\n|nothing is written)`, heaviest.stdout, "two writes are little, or nothing")
	table := command(t, "", "sessions", "--address", s.address)
	assert.Regexp(t, faces.Ticket().SessionID+` +faces +attached +1 +1 *\n`, table.stdout)
	assert.Regexp(t, birds.Ticket().SessionID+` +birds +detached +1 +1 +in (1h0m0s|59m)`, table.stdout)
	require.Len(t, s.sessions(), 2)
	detached := s.sessions("--space", "birds")
	require.Len(t, detached, 1)
	assert.Equal(t, "detached", detached[0].State)
	assert.WithinDuration(t, time.Now().Add(time.Hour), detached[0].ExpiresAt, time.Minute)

	id := faces.Ticket().SessionID
	ended := command(t, "", "sessions", "end", id, "--json", "--address", s.address)
	require.Equal(t, 0, ended.code, ended.stderr)
	assert.JSONEq(t, `{"session_id":"`+id+`","space":"faces","state":"ended","epoch":1,"committed_through":1}`, ended.stdout)
	select {
	case <-faces.Done():
	case <-ctx.Done():
		t.Fatal("the client has not given up")
	}
	require.ErrorIs(t, faces.Err(), client.ErrSessionExpired)
	assert.ErrorContains(t, faces.Err(), "ended by an operator")

	s.kill()
	s = startAt(t, s.dir, s.address)
	again := command(t, "", "sessions", "end", id, "--address", s.address)
	assert.Equal(t, 1, again.code)
	assert.Contains(t, again.stderr, id)
	left := s.sessions()
	require.Len(t, left, 1)
	assert.Equal(t, birds.Ticket().SessionID, left[0].ID)
	words := command(t, "", "sessions", "end", left[0].ID, "--address", s.address)
	assert.Equal(t, "ended "+left[0].ID+"; everything up to number 1 stays in \"birds\"\n", words.stdout)
	assert.Equal(t, "no sessions\n", command(t, "", "sessions", "--address", s.address).stdout)
}

// TestASpaceIsDeletedFromTheShell: under a client that writes to it, and for good.
func TestASpaceIsDeletedFromTheShell(t *testing.T) {
	t.Parallel()
	ctx, s := within(t, time.Minute), freshServer(t)
	session, err := s.client().Open(ctx, "faces", client.SessionOptions{})
	require.NoError(t, err)
	_, err = session.Observe(ctx, client.Observation{ID: "tea", Embedding: []float32{1, 0, 0}})
	require.NoError(t, err)
	require.NoError(t, session.Flush(ctx))

	deleted := command(t, "", "spaces", "delete", "faces", "--yes", "--address", s.address)
	assert.Equal(t, "deleted \"faces\"\n", deleted.stdout, deleted.stderr)
	select {
	case <-session.Done():
	case <-ctx.Done():
		t.Fatal("the client has not given up")
	}
	require.ErrorIs(t, session.Err(), client.ErrSessionExpired)
	assert.ErrorContains(t, session.Err(), "has been deleted")
	s.kill()
	s = startAt(t, s.dir, s.address)
	assert.JSONEq(t, `{"spaces":[]}`, command(t, "", "spaces", "--json", "--address", s.address).stdout)
	again := command(t, "", "spaces", "delete", "faces", "--yes", "--address", s.address)
	assert.Equal(t, 1, again.code)
	assert.Contains(t, again.stderr, "does not exist")
	require.NoError(t, s.client().DeleteSpace(ctx, makeSpace(ctx, t, s)))
}

func makeSpace(ctx context.Context, t *testing.T, s *server) string {
	t.Helper()
	made, err := s.client().CreateSpace(ctx, client.Space{Name: "faces", Dimension: 5})
	require.NoError(t, err)
	return made.Name
}

// TestOperatorsCommandsFailWithTheirCodes: the exit codes of `engram help exit-codes`.
func TestOperatorsCommandsFailWithTheirCodes(t *testing.T) {
	t.Parallel()
	nowhere := freeAddress(t)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"spaces, no server":   {[]string{"spaces", "--address", nowhere}, 3, "engram serve"},
		"sessions, no server": {[]string{"sessions", "--address", nowhere}, 3, "engram serve"},
		"end, no server":      {[]string{"sessions", "end", "s1", "--json", "--address", nowhere}, 3, `"exit_code": 3`},
		"spaces takes none":   {[]string{"spaces", "faces"}, 2, "faces"},
		"delete takes one":    {[]string{"spaces", "delete"}, 2, "usage: engram spaces delete SPACE"},
		"delete unasked":      {[]string{"spaces", "delete", "faces"}, 2, "--yes"},
		"delete what":         {[]string{"spaces", "delete", "No Way"}, 2, "No Way"},
		"no such space name":  {[]string{"sessions", "--space", "No Way"}, 2, "No Way"},
		"no time":             {[]string{"spaces", "--timeout", "0s"}, 2, "--timeout"},
		"sessions takes none": {[]string{"sessions", "stop"}, 2, "stop"},
		"end takes one":       {[]string{"sessions", "end"}, 2, "usage: engram sessions end ID"},
	} {
		r := command(t, "", c.args...)
		assert.Equal(t, c.code, r.code, "%s: %s", name, r.stderr)
		assert.Contains(t, r.stderr, c.want, name)
	}
}
