package app

import (
	"fmt"
	"slices"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/embed"
	"github.com/engram-stream/engram/internal/memory"
	embedstage "github.com/engram-stream/engram/stages/embed"
)

// embedders makes what embeds on a server; nil: nothing does, as the pipeline says, or since it has no stage for it.
// release lets go of what it holds.
func embedders(p *config.Pipeline, lookup config.LookupEnv) (e memory.Embedder, release func(), err error) {
	release = func() {}
	if !slices.ContainsFunc(p.Spec.Nodes, func(n graph.NodeSpec) bool { return n.Role == graph.RoleStage && n.Kind == embedstage.Kind }) {
		return nil, release, nil
	}
	switch p.Embed.Kind {
	case config.EmbedLexical:
		return embed.Lexical{}, release, nil
	case config.EmbedOpenAI:
		key, err := apiKey(p, lookup)
		if err != nil {
			return nil, release, err
		}
		s := p.Embed
		o := embed.NewOpenAI(embed.Options{
			URL: s.URL, Model: s.Model, Key: key, Dimension: s.Dimension, Batch: s.Batch, BatchBytes: int(s.BatchBytes),
			Concurrency: s.Concurrency, Timeout: s.Timeout, Tries: s.Tries, CacheItems: s.Cache.Items, CacheBytes: int64(s.Cache.Bytes),
		})
		return o, o.Close, nil
	}
	return nil, release, nil
}

// apiKey reads the key from the variable that the pipeline names; none is read where it names none.
func apiKey(p *config.Pipeline, lookup config.LookupEnv) (string, error) {
	name := p.Embed.APIKeyEnv
	if name == "" {
		return "", nil
	}
	if key, _ := lookup(name); key != "" {
		return key, nil
	}
	return "", &InvalidPipeline{Found: graph.Diagnostics{{
		Pos:     p.Origin("embed.api_key_env").Pos,
		Message: fmt.Sprintf("embed.api_key_env: the environment variable %q is not set", name),
		Hint:    "set it to the key of the endpoint, or leave api_key_env out where it asks for none",
	}}}
}
