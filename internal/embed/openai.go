package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// OpenAIKind is the kind of embedder that asks an endpoint.
const OpenAIKind = "openai"

// plainText is one that no endpoint has a reason to refuse.
const plainText = "dimension"

// Options describe an endpoint. The application has checked them.
type Options struct {
	URL   string // of the API, such as http://127.0.0.1:11434/v1, or of its embeddings
	Model string
	Key   string // sent as a bearer token; empty: none. It is in no error and no log

	Dimension int // of the model's vectors; 0: learnt from the first answer

	Batch       int           // texts in a request
	BatchBytes  int           // and their bytes; one longer text goes alone
	Concurrency int           // requests at once
	Timeout     time.Duration // of one try
	Tries       int           // of one request, the first included

	CacheItems int // vectors remembered, by their text
	CacheBytes int64
}

// OpenAI asks an endpoint that speaks OpenAI's /v1/embeddings. A text that the endpoint refuses is found by asking for
// its batch in halves, so that it fails alone; an endpoint that refuses every text fails as one that is down. Safe for concurrent use; Close when done.
type OpenAI struct {
	options   Options
	url       string
	client    *http.Client
	slots     *semaphore.Weighted // requests at once
	cache     *cache
	dimension atomic.Int64 // 0: not known yet
}

// NewOpenAI returns an embedder; it asks for nothing yet.
func NewOpenAI(o Options) *OpenAI {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = o.Concurrency, o.Concurrency
	e := &OpenAI{
		options: o, url: embeddingsURL(o.URL), slots: semaphore.NewWeighted(int64(o.Concurrency)),
		client: &http.Client{Transport: transport, CheckRedirect: noRedirect},
		cache:  newCache(o.CacheItems, o.CacheBytes),
	}
	e.dimension.Store(int64(o.Dimension))
	return e
}

// noRedirect makes a redirect an answer like any other, which is refused: the key is for the endpoint that was named.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func embeddingsURL(base string) string {
	base = strings.TrimRight(base, "/")
	if strings.HasSuffix(base, "/embeddings") {
		return base
	}
	if _, rest, _ := strings.Cut(base, "://"); !strings.Contains(rest, "/") {
		base += "/v1"
	}
	return base + "/embeddings"
}

// Close lets go of idle connections.
func (e *OpenAI) Close() { e.client.CloseIdleConnections() }

// Kind implements memory.Embedder.
func (e *OpenAI) Kind() string { return OpenAIKind }

// Identity implements memory.Embedder: the model's name says what vectors mean, wherever it runs.
func (e *OpenAI) Identity() string { return OpenAIKind + ":" + e.options.Model }

// Dimension implements memory.Embedder.
func (e *OpenAI) Dimension() int { return int(e.dimension.Load()) }

// Probe implements memory.Embedder.
func (e *OpenAI) Probe(ctx context.Context) (int, error) {
	if n := e.Dimension(); n != 0 {
		return n, nil
	}
	if _, err := e.Embed(ctx, []string{plainText}); err != nil {
		return 0, err
	}
	return e.Dimension(), nil
}

// Embed implements memory.Embedder.
func (e *OpenAI) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, bad := make([][]float32, len(texts)), memory.BadTexts{}
	places := map[string][]int{} // of each text that must be asked for
	var asked []string
	for i, text := range texts {
		switch known := e.cache.get(text); {
		case known != nil:
			vectors[i] = known
		case strings.TrimSpace(text) == "":
			bad[i] = "there is nothing in it but spaces"
		default:
			if places[text] == nil {
				asked = append(asked, text)
			}
			places[text] = append(places[text], i)
		}
	}
	answers, err := e.askAll(ctx, asked)
	if err != nil {
		return nil, err
	}
	for j, text := range asked {
		for _, i := range places[text] {
			if vectors[i] = answers[j].vector; vectors[i] == nil {
				bad[i] = answers[j].refused
			}
		}
	}
	if len(bad) > 0 {
		return vectors, bad
	}
	return vectors, nil
}

// answer is what became of one text: a vector, or why there can be none.
type answer struct {
	vector  []float32
	refused string
}

// askAll asks for texts in batches, several at once. What came is remembered even if some batch fails, so that asking
// again asks for the rest only.
func (e *OpenAI) askAll(ctx context.Context, texts []string) ([]answer, error) {
	answers := make([]answer, len(texts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(e.options.Concurrency)
	for first := 0; first < len(texts); {
		end := e.cut(texts, first)
		part, to := texts[first:end], answers[first:end]
		group.Go(func() error { return e.askFirst(ctx, part, to) })
		first = end
	}
	return answers, group.Wait()
}

// cut returns where the batch that begins at first ends: at least one text on.
func (e *OpenAI) cut(texts []string, first int) int {
	bytes := 0
	for i := first; i < len(texts); i++ {
		bytes += len(texts[i])
		if i > first && (i-first == e.options.Batch || bytes > e.options.BatchBytes) {
			return i
		}
	}
	return len(texts)
}

// askFirst fills in the answers to one batch. One that the endpoint refuses is asked for in halves, if it is the texts that
// are refused: at most twice as many requests as it has texts, and one.
func (e *OpenAI) askFirst(ctx context.Context, texts []string, to []answer) error {
	refused, err := e.ask(ctx, texts, to)
	if refused == nil {
		return err
	}
	if err := e.refusesSome(ctx); err != nil {
		return err
	}
	return e.halve(ctx, texts, to, refused)
}

// refusesSome makes sure that an endpoint which refuses texts takes a plain one. Else what it refuses is the model, or the
// form of every request: that can be mended, and nothing is rejected for it.
func (e *OpenAI) refusesSome(ctx context.Context) error {
	_, err := e.try(ctx, []string{plainText})
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return e.unavailable(&failure{said: refused.said, hint: "it refuses every text: check embed.url and embed.model"}, 1, 0)
	}
	return err
}

func (e *OpenAI) halve(ctx context.Context, texts []string, to []answer, refused *refusedError) error {
	if len(texts) == 1 {
		to[0].refused = "the embedder's endpoint refuses it: " + refused.Error()
		return nil
	}
	middle := len(texts) / 2
	for _, half := range [][2]int{{0, middle}, {middle, len(texts)}} {
		part, answers := texts[half[0]:half[1]], to[half[0]:half[1]]
		refused, err := e.ask(ctx, part, answers)
		if refused != nil {
			err = e.halve(ctx, part, answers, refused)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ask fills in the answers to one batch, unless the endpoint refuses it.
func (e *OpenAI) ask(ctx context.Context, texts []string, to []answer) (*refusedError, error) {
	vectors, err := e.try(ctx, texts)
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused, nil
	}
	if err != nil {
		return nil, err
	}
	for i, v := range vectors {
		to[i].vector = v
		e.cache.put(texts[i], v)
	}
	return nil, nil
}

// try sends one request, again while that may help.
func (e *OpenAI) try(ctx context.Context, texts []string) ([][]float32, error) {
	for n := 1; ; n++ {
		vectors, err := e.once(ctx, texts)
		if ctx.Err() != nil {
			return nil, gaveUp(context.Cause(ctx))
		}
		failed, ok := errors.AsType[*failure](err)
		if !ok {
			return vectors, err
		}
		wait := failed.wait(n)
		if n == e.options.Tries || failed.lasting || wait > maxRetryWait {
			return nil, e.unavailable(failed, n, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, gaveUp(context.Cause(ctx))
		}
	}
}

// once sends one request, when there is a slot for it.
func (e *OpenAI) once(ctx context.Context, texts []string) ([][]float32, error) {
	if err := e.slots.Acquire(ctx, 1); err != nil {
		return nil, gaveUp(err)
	}
	defer e.slots.Release(1)
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	body, err := e.post(ctx, texts)
	if err != nil {
		return nil, err
	}
	vectors, err := parseAnswer(body, len(texts))
	if err != nil {
		return nil, &failure{said: err.Error()}
	}
	return vectors, e.checkDimension(vectors)
}

// checkDimension learns the dimension from the first answer whose vectors agree on it, and holds every other to it.
func (e *OpenAI) checkDimension(vectors [][]float32) error {
	want := cmp.Or(e.Dimension(), len(vectors[0]))
	for _, v := range vectors {
		if len(v) != want {
			return wrongDimension(len(v), want)
		}
	}
	if e.dimension.CompareAndSwap(0, int64(want)) || e.Dimension() == want {
		return nil
	}
	return wrongDimension(want, e.Dimension()) // another answer has just come first
}

func wrongDimension(got, want int) *failure {
	return &failure{lasting: true, said: fmt.Sprintf("it answers with %d components where %d are expected", got, want)}
}

// unavailable is a failure for those who wait for vectors.
func (e *OpenAI) unavailable(f *failure, tries int, wait time.Duration) error {
	hint := "is the endpoint up? The server's embed section names it"
	if f.hint != "" {
		hint = f.hint
	}
	return fault.New(fault.Unavailable, "%s, model %q: %s (%s)", e.url, e.options.Model, e.redacted(f.said), plural(tries)).
		WithOp("embed").WithReason("EMBEDDER_UNAVAILABLE").WithRetryAfter(min(max(wait, minRetryTold), maxRetryTold)).WithHint("%s", hint)
}

func plural(tries int) string {
	if tries == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", tries)
}

// redacted takes the key out of what an endpoint says.
func (e *OpenAI) redacted(said string) string {
	if e.options.Key == "" {
		return said
	}
	return strings.ReplaceAll(said, e.options.Key, "[the key]")
}
