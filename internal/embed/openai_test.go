package embed

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/embed/embedtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

const testKey = "sk-very-secret"

func options(url string) Options {
	return Options{
		URL: url, Model: "tiny", Key: testKey, Batch: 4, BatchBytes: 1 << 10, Concurrency: 2, Timeout: 30 * time.Second, Tries: 3,
		CacheItems: 100, CacheBytes: 1 << 20,
	}
}

func asking(t *testing.T, o Options) *OpenAI {
	t.Helper()
	e := NewOpenAI(o)
	t.Cleanup(e.Close)
	return e
}

func numbered(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("text %d", i)
	}
	return texts
}

// requireOwn checks that each text has its own vector.
func requireOwn(t *testing.T, texts []string, vectors [][]float32) {
	t.Helper()
	require.Len(t, vectors, len(texts))
	for i, text := range texts {
		require.Equal(t, embedtest.Vector(text), vectors[i], text)
	}
}

func TestEachTextGetsItsOwnVector(t *testing.T) {
	endpoint := embedtest.New(t)
	e := asking(t, options(endpoint.URL))
	assert.Equal(t, "openai:tiny", e.Identity())
	assert.Zero(t, e.Dimension())
	endpoint.Next(embedtest.Bent(func(items []embedtest.Item) []embedtest.Item {
		return []embedtest.Item{items[2], items[0], items[3], items[1]}
	}))
	texts := append(numbered(10), "text 3", "text 3")
	vectors, err := e.Embed(t.Context(), texts)
	require.NoError(t, err)
	requireOwn(t, texts, vectors)
	assert.Equal(t, embedtest.Dimension, e.Dimension())
	asked := 0
	for _, r := range endpoint.Requests() {
		require.LessOrEqual(t, len(r), 4)
		asked += len(r)
	}
	assert.Equal(t, 10, asked, "a text that comes twice is asked for once")
	assert.Equal(t, "Bearer "+testKey, endpoint.Keys()[0])

	_, err = e.Embed(t.Context(), texts)
	require.NoError(t, err)
	assert.Len(t, endpoint.Requests(), 3, "it remembers")
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	endpoint := embedtest.New(t)
	e := asking(t, options(endpoint.URL))
	texts := []string{strings.Repeat("a", 600), strings.Repeat("b", 600), strings.Repeat("c", 5000), "d", "e"}
	vectors, err := e.Embed(t.Context(), texts)
	require.NoError(t, err)
	requireOwn(t, texts, vectors)
	for _, r := range endpoint.Requests() {
		assert.True(t, len(r) == 1 || len(strings.Join(r, "")) <= 1<<10)
	}
	assert.Len(t, endpoint.Requests(), 4)
}

func TestProbeAsksOnce(t *testing.T) {
	endpoint := embedtest.New(t)
	e := asking(t, options(endpoint.URL))
	for range 2 {
		n, err := e.Probe(t.Context())
		require.NoError(t, err)
		require.Equal(t, embedtest.Dimension, n)
	}
	assert.Len(t, endpoint.Requests(), 1)
}

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	short := func(items []embedtest.Item) []embedtest.Item { return items[1:] }
	for name, b := range map[string]embedtest.Behaviour{
		"half an answer":       embedtest.Half,
		"an answer cut":        embedtest.Cut,
		"status 500":           embedtest.Status(500, "oh"),
		"status 429":           embedtest.Status(429, "slow down"),
		"too few":              embedtest.Bent(short),
		"too many":             embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { return append(i, i[0]) }),
		"one twice":            embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Index = 1; return i }),
		"no index of ours":     embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Index = 9; return i }),
		"a null":               embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = []any{nil, 1}; return i }),
		"text for a number":    embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = "NaN"; return i }),
		"a number too large":   embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = []any{1e39}; return i }),
		"no components":        embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = []int{}; return i }),
		"too many components":  embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = make([]int, 4097); return i }),
		"nothing but zeros":    embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = make([]int, 8); return i }),
		"an answer of nothing": func(http.ResponseWriter, *http.Request, []string) {},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := embedtest.New(t)
			endpoint.Next(b)
			texts := numbered(3)
			vectors, err := asking(t, options(endpoint.URL)).Embed(t.Context(), texts)
			require.NoError(t, err)
			requireOwn(t, texts, vectors)
			require.Len(t, endpoint.Requests(), 2)
		})
	}
}

func TestWhatDoesNotPassIsAnError(t *testing.T) {
	cases := map[string]struct {
		always   embedtest.Behaviour
		says     string
		hint     string
		requests int
	}{
		"overload":    {embedtest.Status(429, "slow down", "Retry-After", "30"), "status 429: slow down (1 try)", "quota", 1},
		"failure":     {embedtest.Status(500, "oh"), "status 500: oh (3 tries)", "embed section", 3},
		"the key":     {embedtest.Status(401, "wrong key "+testKey+"!"), "status 401: wrong key [the key]! (1 try)", "embed.api_key_env", 1},
		"no model":    {embedtest.Status(404, "no such model"), "status 404: no such model (1 try)", "ollama pull tiny", 1},
		"a redirect":  {embedtest.Status(307, "", "Location", "http://127.0.0.1:1/"), "status 307", "embed section", 1},
		"a dimension": {embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[0].Embedding = []int{1, 2}; return i }), "2 components where 8 are expected (1 try)", "", 1},
		"too large": {func(w http.ResponseWriter, _ *http.Request, _ []string) {
			_, _ = w.Write(make([]byte, answerOverhead+answerBytesEach+1))
		}, "larger than 196608 bytes", "", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			endpoint := embedtest.New(t)
			o := options(endpoint.URL)
			o.Dimension = embedtest.Dimension
			endpoint.Always(c.always)
			_, err := asking(t, o).Embed(t.Context(), []string{"tea"})
			f := fault.As(err)
			require.NotNil(t, f)
			assert.Equal(t, fault.Unavailable, f.Kind)
			assert.Equal(t, "EMBEDDER_UNAVAILABLE", f.Reason)
			assert.Contains(t, f.Message, endpoint.URL+`/v1/embeddings, model "tiny": `)
			assert.Contains(t, f.Message, c.says)
			assert.Contains(t, f.Hint, c.hint)
			assert.NotContains(t, err.Error(), testKey)
			assert.GreaterOrEqual(t, f.RetryAfter, minRetryTold)
			assert.Len(t, endpoint.Requests(), c.requests)
			if name == "overload" {
				assert.Equal(t, 30*time.Second, f.RetryAfter)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	o := options("http://127.0.0.1:1")
	o.Tries = 1
	_, err := asking(t, o).Embed(t.Context(), []string{"tea"})
	require.ErrorContains(t, err, `http://127.0.0.1:1/v1/embeddings, model "tiny": dial tcp 127.0.0.1:1`)
}

func TestASlowEndpointIsGivenUp(t *testing.T) {
	endpoint := embedtest.New(t)
	o := options(endpoint.URL)
	o.Timeout, o.Tries = 20*time.Millisecond, 1
	endpoint.Next(embedtest.Silence)
	_, err := asking(t, o).Embed(t.Context(), []string{"tea"})
	require.ErrorContains(t, err, "no answer within 20ms (1 try)")
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
}

func TestWhoGivesUpIsLetGo(t *testing.T) {
	endpoint := embedtest.New(t)
	ctx, cancel := contextOf(t)
	endpoint.Next(func(_ http.ResponseWriter, r *http.Request, _ []string) { cancel(); <-r.Context().Done() })
	_, err := asking(t, options(endpoint.URL)).Embed(ctx, []string{"tea"})
	require.Equal(t, fault.Canceled, fault.KindOf(err))
}

// TestARefusedTextFailsAlone: of a batch that the endpoint refuses, the others get their vectors.
func TestARefusedTextFailsAlone(t *testing.T) {
	endpoint := embedtest.New(t)
	texts := numbered(9)
	texts[2], texts[7], texts[8] = "REFUSE a", "REFUSE b", " \n"
	vectors, err := asking(t, options(endpoint.URL)).Embed(t.Context(), texts)
	bad, ok := errors.AsType[memory.BadTexts](err)
	require.True(t, ok, "%v", err)
	require.Len(t, bad, 3)
	assert.Equal(t, "the embedder's endpoint refuses it: status 400: a text is refused", bad[2])
	assert.Equal(t, bad[2], bad[7])
	assert.Contains(t, bad[8], "nothing in it but spaces")
	for i, text := range texts {
		if bad[i] == "" {
			assert.Equal(t, embedtest.Vector(text), vectors[i])
		} else {
			assert.Nil(t, vectors[i])
		}
	}
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	endpoint := embedtest.New(t)
	var mu sync.Mutex
	running, most := 0, 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		running += by
		most = max(most, running)
	}
	endpoint.Always(func(w http.ResponseWriter, _ *http.Request, texts []string) {
		count(1)
		defer count(-1)
		embedtest.Answer(w, embedtest.Items(texts))
	})
	e := asking(t, options(endpoint.URL))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := e.Embed(t.Context(), []string{fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i), fmt.Sprint("d", i), "e"})
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most, 2)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "1.5": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		assert.Equal(t, want, retryAfter(header, now), "%q", header)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for n, most := range map[int]time.Duration{1: minBackoff, 2: 2 * minBackoff, 9: maxBackoff, 99: maxBackoff} {
		wait := (&failure{}).wait(n)
		assert.LessOrEqual(t, wait, most)
		assert.GreaterOrEqual(t, wait, most/2)
	}
	assert.Equal(t, time.Hour, (&failure{after: time.Hour}).wait(1))
}

func TestEmbeddingsURL(t *testing.T) {
	for base, want := range map[string]string{
		"http://127.0.0.1:11434":           "http://127.0.0.1:11434/v1/embeddings",
		"http://127.0.0.1:11434/":          "http://127.0.0.1:11434/v1/embeddings",
		"https://api.openai.com/v1":        "https://api.openai.com/v1/embeddings",
		"https://x.example/a/b/embeddings": "https://x.example/a/b/embeddings",
	} {
		assert.Equal(t, want, embeddingsURL(base))
	}
}

func TestCacheIsBounded(t *testing.T) {
	vector := make([]float32, 10)
	c := newCache(3, 1<<20)
	for i := range 5 {
		c.put(fmt.Sprint(i), vector)
	}
	c.put("4", vector)
	assert.Nil(t, c.get("1"))
	assert.NotNil(t, c.get("2"))
	assert.Equal(t, 3*weight(vector), c.bytes)

	c = newCache(100, 2*weight(vector))
	for i := range 5 {
		c.put(fmt.Sprint(i), vector)
	}
	assert.Nil(t, c.get("2"))
	assert.NotNil(t, c.get("3"))
	assert.Equal(t, 2*weight(vector), c.bytes)
	c.put("large", make([]float32, 100))
	assert.Nil(t, c.get("large"))
	assert.NotNil(t, c.get("4"))

	c = newCache(0, 0)
	c.put("a", vector)
	assert.Nil(t, c.get("a"))
}

// TestAnAnswerOfSeveralDimensionsTeachesNone: what follows is not held to a part of an answer that was refused.
func TestAnAnswerOfSeveralDimensionsTeachesNone(t *testing.T) {
	endpoint := embedtest.New(t)
	e := asking(t, options(endpoint.URL))
	endpoint.Next(embedtest.Bent(func(items []embedtest.Item) []embedtest.Item { items[0].Embedding = []int{1, 2}; return items }))
	_, err := e.Embed(t.Context(), numbered(2))
	require.ErrorContains(t, err, "components")
	assert.Zero(t, e.Dimension())
	texts := numbered(2)
	vectors, err := e.Embed(t.Context(), texts)
	require.NoError(t, err)
	requireOwn(t, texts, vectors)
}

// TestAnEndpointThatRefusesEveryText, such as one that answers an unknown model with 400, has no text rejected for it.
func TestAnEndpointThatRefusesEveryText(t *testing.T) {
	endpoint := embedtest.New(t)
	e := asking(t, options(endpoint.URL))
	endpoint.Always(embedtest.Status(http.StatusBadRequest, "no such model"))
	_, err := e.Embed(t.Context(), numbered(3))
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "status 400: no such model")
	require.ErrorContains(t, err, "check embed.url and embed.model")
	assert.Len(t, endpoint.Requests(), 2)
	_, err = e.Probe(t.Context())
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)

	endpoint.Always(nil)
	vectors, err := e.Embed(t.Context(), numbered(3))
	require.NoError(t, err)
	requireOwn(t, numbered(3), vectors)
}
