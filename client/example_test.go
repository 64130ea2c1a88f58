package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/engram-stream/engram/client"
)

func Example() {
	ctx := context.Background()
	c, err := client.New("127.0.0.1:7320")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.Observe(ctx, "notes", []client.Observation{
		{ID: "tea", Content: "likes tea", Embedding: []float32{1, 0, 0}},
		{ID: "rain", Content: "dislikes rain", Embedding: []float32{0, 1, 0}},
	})
	if err != nil {
		log.Fatal(err)
	}
	found, err := c.Recall(ctx, "notes", client.Query{Embedding: []float32{0.9, 0.1, 0}, Limit: 1, IncludeContent: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range found.Hits {
		fmt.Println(hit.ID, hit.Content, hit.Score)
	}
}

// A session streams: observations are batched, kept until they are committed, and sent again after a lost connection.
func ExampleClient_Open() {
	ctx := context.Background()
	c, err := client.New("127.0.0.1:7320")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.Open(ctx, "sensors", client.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 10_000 {
		o := client.Observation{Embedding: []float32{float32(i), 1}, ObservedAt: time.Now(), Metadata: map[string]any{"line": 4}}
		if _, err := s.Observe(ctx, o); err != nil {
			log.Fatal(err)
		}
	}
	// Wait for all of them. Observations that the server refused for good are reported here.
	if err := s.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	final, err := s.Close(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("committed through", final)
}

// Recalls run on the session's own stream, between its observations.
func ExampleSession_Recall() {
	ctx := context.Background()
	c, err := client.New("127.0.0.1:7320")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.Open(ctx, "notes", client.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	seen, err := s.Observe(ctx, client.Observation{Content: "the door is open", Embedding: []float32{0, 0, 1}})
	if err != nil {
		log.Fatal(err)
	}
	if err := seen.Wait(ctx); err != nil { // from here on every recall finds it
		log.Fatal(err)
	}
	found, err := s.Recall(ctx, client.Query{Embedding: []float32{0, 0, 1}, IncludeContent: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Hits[0].ID == seen.MemoryID(), found.Hits[0].Content)
	if _, err := s.Close(ctx); err != nil {
		log.Fatal(err)
	}
}

// A program that keeps the session's ticket goes on after its own restart, and stores nothing twice.
func ExampleTicket() {
	ctx := context.Background()
	c, err := client.New("127.0.0.1:7320")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	var options client.SessionOptions
	if saved, err := os.ReadFile("session.json"); err == nil {
		options.Resume = &client.Ticket{}
		if err := json.Unmarshal(saved, options.Resume); err != nil {
			log.Fatal(err)
		}
	}
	s, err := c.Open(ctx, "log", options)
	if errors.Is(err, client.ErrSessionExpired) {
		log.Fatal("the session is gone: start a new one, from the beginning or with explicit IDs")
	}
	if err != nil {
		log.Fatal(err)
	}
	ticket, err := json.Marshal(s.Ticket())
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("session.json", ticket, 0o600); err != nil {
		log.Fatal(err)
	}

	lines := [][]float32{{1, 0}, {0, 1}, {1, 1}} // line i is observation i+1
	for _, line := range lines[min(s.Committed(), uint64(len(lines))):] {
		if _, err := s.Observe(ctx, client.Observation{Embedding: line}); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := s.Detach(ctx); err != nil { // waits until all is committed, and keeps the session
		log.Fatal(err)
	}
}

// Failures say what to do: whether to try again and when, what was wrong and where.
func ExampleError() {
	ctx := context.Background()
	c, err := client.New("127.0.0.1:7320")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Observe(ctx, "notes", []client.Observation{{Embedding: []float32{1, 2}}}, client.RequestID("note-4711"))
	if rejected, ok := errors.AsType[*client.RejectedError](err); ok {
		fmt.Println("never send it again:", rejected.Field, rejected.Reason)
		return
	}
	if failed, ok := errors.AsType[*client.Error](err); ok && failed.Retryable() {
		fmt.Println("send it again, under the same request id, after", failed.RetryAfter)
	}
}
