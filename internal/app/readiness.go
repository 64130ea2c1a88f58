package app

import (
	"io"
	"net/http"
	"sync/atomic"

	"connectrpc.com/grpchealth"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/transports/rpc"
)

// phase is where a server stands in its life.
type phase int32

const (
	starting phase = iota
	ready
	failed
	draining
)

// The pages that answer it.
const (
	livePage   = "/livez"
	healthPage = "/healthz"
	readyPage  = "/readyz"
)

// readiness answers "are you up" on every road: pages for orchestrators, gRPC health, and the refusal of calls.
type readiness struct {
	health *grpchealth.StaticChecker
	phase  atomic.Int32
	reason atomic.Pointer[string] // stored before the phase is failed
}

func newReadiness() *readiness {
	r := &readiness{health: grpchealth.NewStaticChecker()}
	r.set(starting)
	return r
}

func (r *readiness) set(p phase) {
	r.phase.Store(int32(p))
	status := grpchealth.StatusNotServing
	if p == ready {
		status = grpchealth.StatusServing
	}
	for _, service := range append([]string{""}, rpc.Services()...) {
		r.health.SetStatus(service, status)
	}
}

// fail says that the pipeline takes nothing any more, until the server is started anew.
func (r *readiness) fail(reason error) {
	text := reason.Error()
	r.reason.Store(&text)
	r.set(failed)
}

func (r *readiness) current() phase { return phase(r.phase.Load()) }

// refusal is why calls are not let in now, or nil. While draining they are: what they offer is refused by the graph,
// and recalls are still answered.
func (r *readiness) refusal() error {
	if r.current() == starting {
		return fault.New(fault.Unavailable, "the server is starting: the journal is being replayed").
			WithReason("STARTING").WithHint("wait until /readyz answers 200")
	}
	return nil
}

// mount adds the pages: /livez and /healthz answer while the process runs, /readyz only while it takes work.
func (r *readiness) mount(mux *http.ServeMux) {
	alive := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }
	mux.HandleFunc("GET "+livePage, alive)
	mux.HandleFunc("GET "+healthPage, alive)
	mux.HandleFunc("GET "+readyPage, func(w http.ResponseWriter, _ *http.Request) {
		switch r.current() {
		case ready:
			_, _ = io.WriteString(w, "ready\n")
		case starting:
			http.Error(w, "starting: the journal is being replayed", http.StatusServiceUnavailable)
		case failed:
			http.Error(w, "failed: "+*r.reason.Load(), http.StatusServiceUnavailable)
		case draining:
			http.Error(w, "draining: the server is stopping", http.StatusServiceUnavailable)
		}
	})
}
