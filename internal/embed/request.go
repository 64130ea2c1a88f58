package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The limits of asking again, and of answers.
const (
	minBackoff   = 200 * time.Millisecond
	maxBackoff   = 5 * time.Second
	maxRetryWait = 10 * time.Second // an endpoint that wants to be left alone for longer is: its time is told on

	// What those are told to wait who wanted a vector.
	minRetryTold = time.Second
	maxRetryTold = time.Minute

	answerBytesEach = 128 << 10 // JSON of one vector of the largest dimension, 32 bytes a component
	answerOverhead  = 64 << 10
	maxSaid         = 300 // bytes of what an endpoint says that are passed on
)

// failure is why a request brought no vectors, for now.
type failure struct {
	said    string
	hint    string
	after   time.Duration // that the endpoint wants to be left alone for; 0: not said
	lasting bool          // asking again at once does not help
}

// Error implements error.
func (f *failure) Error() string { return f.said }

// wait returns how long to wait after try number n: as the endpoint says, else twice as long each time, with a jitter of
// a half, so that callers do not come back together.
func (f *failure) wait(n int) time.Duration {
	if f.after > 0 {
		return f.after
	}
	backoff := min(minBackoff<<min(n-1, 10), maxBackoff)
	return backoff/2 + rand.N(backoff/2+1) //nolint:gosec // it spreads retries, and guards nothing
}

// refusedError says that the endpoint refuses what it was asked for.
type refusedError struct{ said string }

// Error implements error.
func (r *refusedError) Error() string { return r.said }

type embeddingsRequest struct {
	Model  string   `json:"model"`
	Input  []string `json:"input"`
	Format string   `json:"encoding_format"`
}

// post sends one request and returns the body of its answer: a *failure, or a *refusedError.
func (e *OpenAI) post(ctx context.Context, texts []string) ([]byte, error) {
	body, err := json.Marshal(embeddingsRequest{Model: e.options.Model, Input: texts, Format: "float"})
	if err != nil {
		return nil, &failure{said: err.Error(), lasting: true}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{said: err.Error(), lasting: true}
	}
	request.Header.Set("Content-Type", "application/json")
	if e.options.Key != "" {
		request.Header.Set("Authorization", "Bearer "+e.options.Key)
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, e.unanswered(err)
	}
	defer response.Body.Close()
	limit := int64(answerOverhead + answerBytesEach*len(texts))
	answer, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return nil, e.unanswered(err)
	case int64(len(answer)) > limit:
		return nil, &failure{said: fmt.Sprintf("the answer is larger than %d bytes", limit), lasting: true}
	case response.StatusCode == http.StatusOK:
		return answer, nil
	}
	return nil, e.notOK(response, answer)
}

// unanswered says why no answer came.
func (e *OpenAI) unanswered(err error) *failure {
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{said: fmt.Sprintf("no answer within %s", e.options.Timeout)}
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the URL is said already
	}
	return &failure{said: err.Error()}
}

// notOK reads an answer that is none.
func (e *OpenAI) notOK(r *http.Response, body []byte) error {
	said := fmt.Sprintf("status %d", r.StatusCode)
	if words := wordsOf([]byte(e.redacted(string(body)))); words != "" {
		said += ": " + words
	}
	switch r.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return &refusedError{said: said}
	case http.StatusUnauthorized, http.StatusForbidden:
		return &failure{said: said, lasting: true, hint: "the endpoint refuses the key: set the variable that embed.api_key_env names, and start again"}
	case http.StatusNotFound:
		return &failure{said: said, lasting: true, hint: "check embed.url and embed.model; with Ollama: ollama pull " + e.options.Model}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &failure{said: said, after: retryAfter(r.Header.Get("Retry-After"), time.Now()), hint: "it is overloaded, or its quota is spent"}
	}
	return &failure{said: said, lasting: r.StatusCode < http.StatusInternalServerError}
}

// retryAfter reads the header of that name, seconds or a date (RFC 9110, 10.2.3); 0 for what is neither.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// wordsOf finds the message in the body of an error; without one it is the body's beginning.
func wordsOf(body []byte) string {
	var known struct {
		Error json.RawMessage `json:"error"`
	}
	var text string
	var nested struct {
		Message string `json:"message"`
	}
	words := string(body)
	if json.Unmarshal(body, &known) == nil && known.Error != nil {
		if json.Unmarshal(known.Error, &text) == nil {
			words = text
		} else if json.Unmarshal(known.Error, &nested) == nil && nested.Message != "" {
			words = nested.Message
		}
	}
	words = strings.Join(strings.Fields(strings.ToValidUTF8(words, "")), " ")
	return firstBytes(words, maxSaid)
}
