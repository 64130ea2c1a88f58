package main

import (
	"context"
	"fmt"
	"log"

	"github.com/engram-stream/engram/client"
)

func main() {
	ctx := context.Background()
	c, err := client.New("127.0.0.1:35981")
	if err != nil {
		log.Fatal(err)
	}
	session, err := c.Open(ctx, "habits", client.SessionOptions{}) // one bidirectional stream, resumed when it breaks
	if err != nil {
		log.Fatal(err)
	}
	tea := client.Observation{ID: "tea", Content: "likes green tea", Embedding: []float32{0.9, 0.1, 0, 0}}
	if _, err := session.Observe(ctx, tea); err != nil { // buffered, sent in batches
		log.Fatal(err)
	}
	if err := session.Flush(ctx); err != nil { // durable and findable from here on
		log.Fatal(err)
	}
	found, err := session.Recall(ctx, client.Query{Embedding: []float32{1, 0, 0, 0}, IncludeContent: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range found.Hits {
		fmt.Printf("%.3f %s: %s\n", hit.Score, hit.ID, hit.Content)
	}
	if _, err := session.Close(ctx); err != nil {
		log.Fatal(err)
	}
}
