package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset"
)

type recallFlags struct {
	vector   string
	like     string
	text     string
	limit    int
	minScore float32
}

func newRecallCommand(env *environment) *cobra.Command {
	var f recallFlags
	cmd := &cobra.Command{
		Use: "recall SPACE (--text TEXT | --vector '[0.1, 0.2]' | --like MEMORY_ID)", Short: "Find the memories nearest to a text or vector",
		Long: "recall prints the memories of a space that are nearest to a vector, the nearest first, of equal ones the older.\n" +
			"A text gets its vector on the server, by the space's embedder. The built-in one, lexical, matches words and\n" +
			"spellings, not meaning; the answer says so.\n\n" +
			"A higher score is nearer, whatever the space's metric: under cosine it is the cosine, from -1 to 1 (1: the same\n" +
			"direction); under dot the dot product; under L2 the negated Euclidean distance, 0 at most (0: the same vector).",
		Example: "  engram recall diary --text 'green tea'\n  engram recall notes --vector '[1, 0, 0, 0]'\n  engram recall faces --like photo-17 --limit 3",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := f.check(a[0], cmd.Flags().Changed); err != nil {
				return err
			}
			return recall(cmd.Context(), env, a[0], &f, cmd.Flags().Changed("min-score"))
		},
	}
	env.addAddress(cmd)
	cmd.Flags().StringVar(&f.vector, "vector", "", `the query as a JSON list, or "-" to read one from standard input`)
	cmd.Flags().StringVar(&f.like, "like", "", "take the embedding of this memory as the query")
	cmd.Flags().StringVar(&f.text, "text", "", "look for this text, in a space with an embedder")
	cmd.Flags().IntVar(&f.limit, "limit", 10, "hits at most, 1 to 10000")
	cmd.Flags().Float32Var(&f.minScore, "min-score", 0, "leave out hits below this score")
	env.addTimeout(cmd)
	return cmd
}

func (f *recallFlags) check(space string, given func(flag string) bool) error {
	if err := checkSpace(space); err != nil {
		return err
	}
	if f.limit < 1 {
		return usageError("--limit %d: give a number from 1 to 10000", f.limit)
	}
	queries := 0
	for _, q := range []struct{ flag, value string }{{"vector", f.vector}, {"like", f.like}, {"text", f.text}} {
		if !given(q.flag) {
			continue
		}
		if strings.TrimSpace(q.value) == "" {
			return usageError("--%s: there is nothing in it", q.flag)
		}
		queries++
	}
	if queries != 1 {
		return usageError("give one of --text, --vector and --like (see: engram recall --help)")
	}
	return nil
}

func recall(ctx context.Context, env *environment, space string, f *recallFlags, bounded bool) error {
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		start := time.Now()
		answer, err := f.ask(ctx, env, c, space, bounded)
		if err != nil {
			return err
		}
		return env.printer().print(newRecallReport(space, answer, time.Since(start)), func(w io.Writer) { printHits(w, answer) })
	})
}

func (f *recallFlags) ask(ctx context.Context, env *environment, c *client.Client, space string, bounded bool) (*client.Recall, error) {
	q := client.Query{Text: f.text, Limit: f.limit, IncludeContent: true}
	if bounded {
		q.MinScore = &f.minScore
	}
	if f.text != "" {
		return c.Recall(ctx, space, q)
	}
	var err error
	if q.Embedding, err = queryVector(ctx, env, c, space, f); err != nil {
		return nil, err
	}
	return c.Recall(ctx, space, q)
}

func queryVector(ctx context.Context, env *environment, c *client.Client, space string, f *recallFlags) ([]float32, error) {
	if f.like != "" {
		m, err := c.Get(ctx, space, []string{f.like}, client.WithEmbedding{})
		if err != nil {
			return nil, err
		}
		if len(m.Found) == 0 {
			return nil, noSuchMemory(space, []string{f.like})
		}
		return m.Found[0].Embedding, nil
	}
	text := f.vector
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(env.stdin, 1<<20))
		if err != nil {
			return nil, fmt.Errorf("read the vector from standard input: %w", err)
		}
		text = string(b)
	}
	v, err := dataset.ParseVector([]byte(text))
	if err != nil {
		return nil, usageError("--vector: %w", err)
	}
	return v, nil
}

type recallReport struct {
	Space     string    `json:"space"`
	Embedder  string    `json:"embedder,omitempty"` // of the text
	Version   uint64    `json:"snapshot_version"`
	ElapsedMs float64   `json:"elapsed_ms"`
	Hits      []hitJSON `json:"hits"`
}

type hitJSON struct {
	Score float32 `json:"score"`
	memoryJSON
}

func newRecallReport(space string, r *client.Recall, took time.Duration) recallReport {
	out := recallReport{Space: space, Embedder: r.Embedder, Version: r.Version, ElapsedMs: float64(took.Microseconds()) / 1000, Hits: []hitJSON{}}
	for i := range r.Hits {
		out.Hits = append(out.Hits, hitJSON{Score: r.Hits[i].Score, memoryJSON: newMemoryJSON(&r.Hits[i].Memory)})
	}
	return out
}

func printHits(w io.Writer, r *client.Recall) {
	if len(r.Hits) == 0 {
		fmt.Fprintf(w, "no hits as of version %d\n", r.Version)
		return
	}
	rows := make([][]string, len(r.Hits))
	for i, h := range r.Hits {
		rows[i] = []string{strconv.Itoa(i + 1), fmt.Sprintf("%.4f", h.Score), oneLine(h.ID), short(h.Content, 60), metadataCell(h.Metadata)}
	}
	table(w, []string{"#", "SCORE", "MEMORY", "CONTENT", "METADATA"}, rows)
	if isLexical(r.Embedder) {
		fmt.Fprintf(w, "\n(lexical match: %s compares words and spellings, not meaning)\n", r.Embedder)
	}
}

// isLexical says whether an embedder knows no meaning.
func isLexical(embedder string) bool { return strings.HasPrefix(embedder, "lexical-") }

func metadataCell(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	return short(strings.Trim(compact(jsonMetadata(m)), "{}"), 60)
}
