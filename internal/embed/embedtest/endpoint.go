// Package embedtest is a stand-in for an OpenAI-compatible embeddings endpoint that misbehaves on demand.
//
// Its vectors follow from the texts alone, so that a test can tell whose vector it got: see Vector. What is queued with
// Next happens to the next requests, one each; after that it behaves.
package embedtest

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Dimension of its vectors.
const Dimension = 8

// Refuse in a text makes the endpoint refuse every request that holds it, with status 400.
const Refuse = "REFUSE"

// Behaviour answers a request for texts in place of the endpoint. A nil one behaves.
type Behaviour func(w http.ResponseWriter, r *http.Request, texts []string)

// Endpoint is the stand-in. Safe for concurrent use.
type Endpoint struct {
	URL string // as embed.url

	mu       sync.Mutex
	next     []Behaviour // guarded by mu
	always   Behaviour   // guarded by mu
	requests [][]string  // guarded by mu: the texts of each so far
	keys     []string    // guarded by mu: the Authorization header of each
}

// New starts an endpoint that ends with the test.
func New(t testing.TB) *Endpoint {
	e := &Endpoint{}
	server := httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(server.Close)
	e.URL = server.URL
	return e
}

// Next queues what happens to the next requests.
func (e *Endpoint) Next(b ...Behaviour) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = append(e.next, b...)
}

// Always sets what happens to requests for which nothing is queued; nil behaves again.
func (e *Endpoint) Always(b Behaviour) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.always = b
}

// Requests returns the texts of each request so far.
func (e *Endpoint) Requests() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

// Keys returns the Authorization header of each request so far.
func (e *Endpoint) Keys() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.keys)
}

func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}
	if r.URL.Path != "/v1/embeddings" || json.NewDecoder(r.Body).Decode(&asked) != nil || asked.Model == "" {
		http.Error(w, "not a request for embeddings", http.StatusNotFound)
		return
	}
	e.mu.Lock()
	e.requests, e.keys = append(e.requests, asked.Input), append(e.keys, r.Header.Get("Authorization"))
	b := e.always
	if len(e.next) > 0 {
		b, e.next = e.next[0], e.next[1:]
	}
	e.mu.Unlock()
	switch {
	case b != nil:
		b(w, r, asked.Input)
	case slices.ContainsFunc(asked.Input, func(s string) bool { return strings.Contains(s, Refuse) }):
		Status(http.StatusBadRequest, "a text is refused")(w, r, asked.Input)
	default:
		Answer(w, Items(asked.Input))
	}
}

// Vector returns the vector of a text.
func Vector(text string) []float32 {
	v := make([]float32, Dimension)
	for i := range v {
		h := fnv.New32a()
		_, _ = h.Write([]byte{byte(i)})
		_, _ = h.Write([]byte(text))
		v[i] = float32(int32(h.Sum32())) / (1 << 31)
	}
	return v
}

// Item is one vector of an answer.
type Item struct {
	Index     int `json:"index"`
	Embedding any `json:"embedding"`
}

// Items are the right ones for texts.
func Items(texts []string) []Item {
	items := make([]Item, len(texts))
	for i, text := range texts {
		items[i] = Item{Index: i, Embedding: Vector(text)}
	}
	return items
}

// Answer writes items as the endpoint does.
func Answer(w http.ResponseWriter, items []Item) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { //nolint:errchkjson // an item is what a test made it
		Object string `json:"object"`
		Data   []Item `json:"data"`
	}{"list", items})
}

// Bent answers with the right items after something was done to them.
func Bent(bend func([]Item) []Item) Behaviour {
	return func(w http.ResponseWriter, _ *http.Request, texts []string) { Answer(w, bend(Items(texts))) }
}

// Status answers with a status, words as OpenAI's errors have them, and headers in pairs.
func Status(code int, message string, headers ...string) Behaviour {
	return func(w http.ResponseWriter, _ *http.Request, _ []string) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": message}})
	}
}

// Half answers with the first half of what is right, and breaks the connection off.
func Half(w http.ResponseWriter, _ *http.Request, texts []string) {
	whole := httptest.NewRecorder()
	Answer(whole, Items(texts))
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	panic(http.ErrAbortHandler)
}

// Cut answers with half of what is right, as if it were all.
func Cut(w http.ResponseWriter, _ *http.Request, texts []string) {
	whole := httptest.NewRecorder()
	Answer(whole, Items(texts))
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
}

// Silence answers nothing until whoever asked gives up.
func Silence(_ http.ResponseWriter, r *http.Request, _ []string) { <-r.Context().Done() }

// Gate holds requests until it is opened, then behaves.
func Gate() (b Behaviour, open func()) {
	gate := make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request, texts []string) {
		select {
		case <-gate:
			Answer(w, Items(texts))
		case <-r.Context().Done():
		}
	}, sync.OnceFunc(func() { close(gate) })
}
