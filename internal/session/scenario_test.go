package session

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

var rewrite = flag.Bool("rewrite", false, "write what the scenarios in testdata print into their files")

// TestScenarios runs the files in testdata: commands, "----", what they print, an empty line. A file reads as the
// story of one attachment. -rewrite replaces what is printed, to be read in the diff.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got := runScenario(t, string(want))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(want), got)
		})
	}
}

// runScenario runs the commands of a text and returns the text with what they print now.
func runScenario(t *testing.T, text string) string {
	var out bytes.Buffer
	var s story
	printed, skipping := "", false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "----":
			out.WriteString(line + printed)
			printed, skipping = "", true
			continue
		case trimmed == "":
			skipping = false
		case skipping:
			continue
		case !strings.HasPrefix(trimmed, "#"):
			printed += s.run(t, strings.Fields(trimmed))
		}
		out.WriteString(line)
	}
	require.Empty(t, printed, "the last command prints, but nothing says what")
	return out.String()
}

// story is one attachment and the commands that happen to it.
type story struct {
	att     *Attachment
	granter *Granter
}

func (s *story) run(t *testing.T, words []string) string {
	args := words[1:]
	number := func(i int) uint64 {
		var n uint64
		_, err := fmt.Sscan(args[i], &n)
		require.NoError(t, err, words)
		return n
	}
	switch words[0] {
	case "attach": // attach <committed>
		s.att = &Attachment{SessionID: "s", Space: "faces", Window: NewWindow(number(0) + 1), Outbox: NewOutbox(number(0))}
		s.granter = NewGranter()
	case "receive": // receive <first> <last>: what the sequence stage does when all goes well behind it
		return s.receive(number(0), number(1))
	case "refuse": // refuse <first> <reason>: what came was not taken behind the window
		s.att.Nack(Nack{Expected: s.att.Window.StepBack(number(0)), Reason: reasons[args[1]]})
	case "commit": // commit <through> <version> [<first>-<last>=<reason> ...]
		s.att.Reply(Reply{From: s.att, Through: number(0), Version: memory.Version(number(1)), Rejected: ranges(t, args[2:])})
	case "heartbeat":
		if expected, waiting := s.att.Window.Waiting(); waiting {
			s.att.Nack(Nack{Expected: expected, Reason: NackSequenceGap})
		}
		s.att.Outbox.Pong(0)
	case "ping": // ping <nonce>
		s.att.Outbox.Pong(number(0))
	case "grant": // grant <sequence limit> <byte limit>
		s.att.Outbox.Grant(Credit{SequenceLimit: number(0), ByteLimit: number(1), State: CreditOK})
	case "goaway": // goaway shutdown|fenced|rebalance
		s.att.Outbox.GoAway(leaves[args[0]], time.Second)
	case "write": // takes everything out
		return s.write()
	default:
		t.Fatalf("unknown command %q", words)
	}
	return ""
}

func (s *story) receive(first, last uint64) string {
	d := s.att.Window.Accept(first, int(last-first+1))
	if d.Gap {
		if d.Say {
			s.att.Nack(Nack{Expected: d.Expected, Reason: NackSequenceGap})
		}
		return fmt.Sprintf("discards %d-%d, waits for %d\n", first, last, d.Expected)
	}
	var out string
	if d.Skip > 0 {
		s.att.Outbox.Again()
		out += fmt.Sprintf("knows %d-%d\n", first, first+uint64(d.Skip)-1)
	}
	if d.Take > 0 {
		s.att.Outbox.Accept(last)
		out += fmt.Sprintf("takes %d-%d\n", first+uint64(d.Skip), last)
	}
	return out
}

func (s *story) write() string {
	var out strings.Builder
	for c, ok := s.att.Outbox.Next(); ok; c, ok = s.att.Outbox.Next() {
		switch {
		case c.Ack != nil:
			fmt.Fprintf(&out, "ack accepted=%d committed=%d version=%d", c.Ack.Accepted, c.Ack.Committed, c.Ack.Version)
			for _, r := range c.Ack.Rejected {
				fmt.Fprintf(&out, " %d-%d=%s", r.First, r.Last, r.Reason)
			}
			out.WriteString("\n")
		case c.Nack != nil:
			fmt.Fprintf(&out, "nack expected=%d reason=%s\n", c.Nack.Expected, wordOf(reasons, c.Nack.Reason))
		case c.Credit != nil:
			fmt.Fprintf(&out, "credit sequence=%d bytes=%d\n", c.Credit.SequenceLimit, c.Credit.ByteLimit)
		case c.Pong != nil:
			fmt.Fprintf(&out, "pong %d\n", c.Pong.Nonce)
		case c.GoAway != nil:
			fmt.Fprintf(&out, "goaway %s committed=%d\n", wordOf(leaves, c.GoAway.Reason), c.GoAway.Committed)
		}
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

var reasons = map[string]NackReason{
	"gap": NackSequenceGap, "overload": NackResourceExhausted, "credit": NackCreditExceeded, "storage": NackStorageUnavailable,
}

var leaves = map[string]GoAwayReason{"shutdown": GoAwayShutdown, "fenced": GoAwayFenced, "rebalance": GoAwayRebalance}

func wordOf[T comparable](words map[string]T, value T) string {
	for word, v := range words {
		if v == value {
			return word
		}
	}
	return "?"
}

func ranges(t *testing.T, words []string) []RejectedRange {
	var all []RejectedRange
	for _, w := range words {
		var r RejectedRange
		_, err := fmt.Sscanf(strings.NewReplacer("-", " ", "=", " ").Replace(w), "%d %d %s", &r.First, &r.Last, &r.Reason)
		require.NoError(t, err, w)
		all = append(all, r)
	}
	return all
}
