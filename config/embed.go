package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/engram-stream/engram/graph"
)

// Embed says what turns text into vectors. All but the kind is for an endpoint.
type Embed struct {
	// What turns text into vectors; see [below](#text).
	// Range: `lexical`, `openai`, `none`
	Kind string `yaml:"kind"`

	// The endpoint's API, `http://127.0.0.1:11434/v1`; without a path it is `/v1`.
	// Range: http, https
	URL string `yaml:"url"`
	// The model that the endpoint is asked for.
	// Range: 1 to 128 characters
	Model string `yaml:"model"`
	// The environment variable that holds the key, such as `OPENAI_API_KEY`; `""` sends none.
	APIKeyEnv string `yaml:"api_key_env"`
	// Components of the model's vectors, 0 for those of its first answer; an answer with another number is refused.
	// Range: 0 to 4096
	Dimension int `yaml:"dimension"`

	// Texts in one request.
	// Range: 1 to 256
	Batch int `yaml:"batch"`
	// And their bytes; a longer text goes alone.
	// Range: 1KiB to 16MiB
	BatchBytes graph.ByteSize `yaml:"batch_bytes"`
	// Requests at once.
	// Range: 1 to 64
	Concurrency int `yaml:"concurrency"`
	// The time for one try.
	// Range: 10ms to 10m
	Timeout time.Duration `yaml:"timeout"`
	// Tries of one request, with growing waits or as `Retry-After` says; then what waits for it is nacked.
	// Range: 1 to 10
	Tries int        `yaml:"tries"`
	Cache EmbedCache `yaml:"cache"`
}

// EmbedCache bounds the vectors that are remembered by their text.
type EmbedCache struct {
	// Vectors that are remembered by their text; 0 remembers none.
	// Range: 0 to 10 million
	Items int `yaml:"items"`
	// And their bytes.
	// Range: 0B to 16TiB
	Bytes graph.ByteSize `yaml:"bytes"`
}

// The kinds of embedders.
const (
	EmbedLexical = "lexical"
	EmbedOpenAI  = "openai"
	EmbedNone    = "none"
)

const (
	maxModelName     = 128
	maxDimension     = 4096 // the protocol's
	maxEmbedBatch    = 256
	minBatchBytes    = 1 << 10
	maxBatchBytes    = 16 << 20
	maxConcurrency   = 64
	minEmbedTimeout  = 10 * time.Millisecond
	maxEmbedTimeout  = 10 * time.Minute
	maxEmbedTries    = 10
	maxCachedVectors = 10_000_000
)

// keyVariable is what an environment variable may be called; a key is not one.
var keyVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func (e Embed) check(report func(path, message, hint string)) {
	kinds := []string{EmbedLexical, EmbedOpenAI, EmbedNone}
	if !slices.Contains(kinds, e.Kind) {
		hint := graph.DidYouMean(e.Kind, kinds)
		report("embed.kind", fmt.Sprintf("%q is no kind of embedder", shortened(e.Kind)), hint)
		return
	}
	if e.Kind == EmbedOpenAI {
		e.checkEndpoint(report)
	} else {
		e.checkUnused(report)
	}
	between(report, "embed.dimension", e.Dimension, 0, maxDimension)
	between(report, "embed.batch", e.Batch, 1, maxEmbedBatch)
	between(report, "embed.batch_bytes", e.BatchBytes, minBatchBytes, maxBatchBytes)
	between(report, "embed.concurrency", e.Concurrency, 1, maxConcurrency)
	between(report, "embed.timeout", e.Timeout, minEmbedTimeout, maxEmbedTimeout)
	between(report, "embed.tries", e.Tries, 1, maxEmbedTries)
	between(report, "embed.cache.items", e.Cache.Items, 0, maxCachedVectors)
	between(report, "embed.cache.bytes", e.Cache.Bytes, 0, maxBudgetBytes)
}

func (e Embed) checkEndpoint(report func(path, message, hint string)) {
	if problem := endpointProblem(e.URL); problem != "" {
		report("embed.url", problem, "such as http://127.0.0.1:11434/v1 for Ollama, https://api.openai.com/v1")
	}
	if e.Model == "" || len(e.Model) > maxModelName {
		report("embed.model", fmt.Sprintf("a model's name has 1 to %d characters", maxModelName), "such as nomic-embed-text, text-embedding-3-small")
	}
	if e.APIKeyEnv != "" && !keyVariable.MatchString(e.APIKeyEnv) {
		report("embed.api_key_env", "it is not the name of an environment variable", "the key itself stands in no file: name the variable that holds it, such as OPENAI_API_KEY")
	}
}

// checkUnused finds what only an endpoint needs: who wrote it means one.
func (e Embed) checkUnused(report func(path, message, hint string)) {
	for path, value := range map[string]string{"embed.url": e.URL, "embed.model": e.Model, "embed.api_key_env": e.APIKeyEnv} {
		if value != "" {
			report(path, fmt.Sprintf("embed.kind %s has no use for it", e.Kind), "set embed.kind to openai, or leave it out")
		}
	}
}

// endpointProblem says what is wrong with the URL of an endpoint, or nothing. A password in it would show in errors.
func endpointProblem(address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return "kind openai needs one"
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("%q is not an http or https URL", shortened(address))
	case u.User != nil:
		return "the URL holds a user; the key goes into the variable that api_key_env names"
	case u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(address, "?"):
		return "an endpoint's URL ends with its path"
	}
	return ""
}
