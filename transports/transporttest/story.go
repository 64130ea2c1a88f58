package transporttest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// patience is how long a line waits for what it awaits, on the bubble's clock.
const patience = 2 * time.Minute

// story is what a scenario has brought about so far.
type story struct {
	t         testing.TB
	transport Transport
	folder    string
	settings  map[string]string
	server    Server
	stopped   chan error // of the server's Stop; nil while it is not stopping
	clients   map[string]*client
	order     []*client         // all of this server's, the ended ones too
	sessions  map[string]string // names by id: a session is called by the client that opened it
	ids       map[string]string // and back
	tickets   map[string]ticket // what a client of a name resumes its session with
	instances map[string]int    // by server_instance
}

// ticket is what a session is resumed with.
type ticket struct {
	space, session string
	token          []byte
}

func newStory(t testing.TB, transport Transport) *story {
	t.Helper()
	return &story{
		t: t, transport: transport, folder: t.TempDir(),
		clients: map[string]*client{}, sessions: map[string]string{}, ids: map[string]string{}, instances: map[string]int{}, tickets: map[string]ticket{},
	}
}

// run runs one line and returns what it prints.
func (s *story) run(line string) string {
	s.t.Helper()
	subject, rest, _ := strings.Cut(line, " ")
	switch subject {
	case "needs":
		if !s.transport.Has(Ability(rest)) {
			s.t.Skipf("the transport has no %s", rest)
		}
		return ""
	case "server":
		s.start(rest)
		return ""
	case "stop":
		s.stop()
		return ""
	case "stopped":
		return s.awaitStop()
	case "wait":
		d, err := time.ParseDuration(rest)
		require.NoError(s.t, err, line)
		time.Sleep(d)
		return ""
	case "call":
		return s.call(rest)
	}
	require.NotNil(s.t, s.server, "%s: no server is running", line)
	return s.client(subject).run(parse(s.t, rest))
}

// start starts the server, or starts it again on what the last one left. Settings stay as they are until given anew.
func (s *story) start(rest string) {
	s.t.Helper()
	require.Nil(s.t, s.server, "the server is running")
	if c := parse(s.t, "server "+rest); len(c.options) > 0 {
		s.settings = c.options
	}
	s.server = s.transport.Start(s.t, s.folder, s.settings)
}

func (s *story) stop() {
	s.stopped = make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.stopped <- s.server.Stop(ctx)
	}()
}

func (s *story) awaitStop() string {
	s.t.Helper()
	err := <-s.stopped
	for _, c := range s.order {
		c.close()
	}
	s.order = nil
	s.server.Close()
	s.server, s.stopped = nil, nil
	return fmt.Sprintf("stopped, error: %v\n", err)
}

// end leaves nothing running.
func (s *story) end() {
	if s.server == nil {
		return
	}
	for _, c := range s.order {
		c.close()
	}
	if s.stopped == nil {
		s.stop()
	}
	assert.NoError(s.t, <-s.stopped)
	s.server.Close()
}

// client returns the client of a name, who has a stream: a new one, when the last has ended.
func (s *story) client(name string) *client {
	c := s.clients[name]
	if c == nil || c.over {
		c = newClient(s, name, s.server.Dial(s.t.Context()))
		s.clients[name] = c
		s.order = append(s.order, c)
	}
	return c
}

// sessionName is how a session is called in what is printed.
func (s *story) sessionName(id, opener string) string {
	if s.sessions[id] == "" {
		name := opener
		for n := 2; s.ids[name] != ""; n++ { // it opened others before
			name = fmt.Sprint(opener, n)
		}
		s.sessions[id], s.ids[name] = name, id
	}
	return s.sessions[id]
}

func (s *story) instance(id string) int {
	if s.instances[id] == 0 {
		s.instances[id] = len(s.instances) + 1
	}
	return s.instances[id]
}

// command is a line behind its subject: a verb, words, options and a message as text.
type command struct {
	verb    string
	words   []string
	options map[string]string
	text    string
}

func parse(t testing.TB, line string) command {
	t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	c := command{verb: verb, options: map[string]string{}}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		word, after, _ := strings.Cut(rest, " ")
		if strings.ContainsAny(word, ":{") {
			c.text = rest
			return c
		}
		if key, value, ok := strings.Cut(word, "="); ok {
			c.options[key] = value
		} else {
			c.words = append(c.words, word)
		}
		rest = after
	}
	return c
}

// over lays the command's text over a message.
func (c command) over(t testing.TB, m proto.Message) {
	t.Helper()
	read := m.ProtoReflect().New().Interface()
	require.NoError(t, prototext.Unmarshal([]byte(c.text), read), c.text)
	proto.Merge(m, read)
}

func (c command) word(t testing.TB, i int) string {
	t.Helper()
	require.Greater(t, len(c.words), i, "%s needs more words", c.verb)
	return c.words[i]
}

func (c command) number(t testing.TB, i int) (n uint64) {
	t.Helper()
	_, err := fmt.Sscan(c.word(t, i), &n)
	require.NoError(t, err, c.verb)
	return n
}
