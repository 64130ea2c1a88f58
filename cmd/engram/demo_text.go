package main

import (
	"context"
	"fmt"
	"io"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset/smalllife"
)

const (
	textDemoSpace = "life"
	textDemoLimit = 2
)

// textDemoQueries ask for what some memory says in nearly the same words: all that a lexical embedder can find.
var textDemoQueries = []string{"what does she drink?", "where does her sister live?", "baking bread"}

type textReport struct {
	Space    string       `json:"space"`
	Memories int          `json:"memories"`
	Embedder string       `json:"embedder"`
	Recalls  []textRecall `json:"recalls"`
}

type textRecall struct {
	Query string    `json:"query"`
	Hits  []textHit `json:"hits"`
}

type textHit struct {
	Score   float32 `json:"score"`
	ID      string  `json:"memory_id"`
	Content string  `json:"content"`
}

// runTextDemo observes sentences without vectors in one call, and recalls by text.
func runTextDemo(ctx context.Context, c *client.Client) (*textReport, error) {
	memories := smalllife.Memories()
	observations := make([]client.Observation, len(memories))
	for i, m := range memories {
		observations[i] = client.Observation{ID: m.ID, Content: m.Content}
	}
	if _, err := c.Observe(ctx, textDemoSpace, observations); err != nil {
		return nil, err
	}
	r := &textReport{Space: textDemoSpace, Memories: len(memories)}
	for _, query := range textDemoQueries {
		answer, err := c.Recall(ctx, textDemoSpace, client.Query{Text: query, Limit: textDemoLimit, IncludeContent: true})
		if err != nil {
			return nil, err
		}
		recall := textRecall{Query: query}
		for _, h := range answer.Hits {
			recall.Hits = append(recall.Hits, textHit{Score: h.Score, ID: h.ID, Content: h.Content})
		}
		r.Recalls, r.Embedder = append(r.Recalls, recall), answer.Embedder
	}
	return r, nil
}

func (r *textReport) write(w io.Writer) {
	fmt.Fprintf(w, "\n%d sentences observed as text into %q and recalled by text (%s: lexical match, of words and spellings, not meaning):\n",
		r.Memories, r.Space, r.Embedder)
	for _, recall := range r.Recalls {
		fmt.Fprintf(w, "\n  %q\n", recall.Query)
		for _, h := range recall.Hits {
			fmt.Fprintf(w, "    %.2f  %s  %s\n", h.Score, h.ID, h.Content)
		}
	}
}
