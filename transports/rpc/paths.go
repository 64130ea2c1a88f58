package rpc

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/engram-stream/engram/graph"
)

// paths are the calls of the services, by path: whether GET may ask them, as Connect lets it for what changes nothing.
type paths map[string]bool

func servedPaths() paths {
	all := paths{}
	for _, name := range services {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		service, ok := found.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			panic("rpc: no descriptor of " + name)
		}
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			options, _ := method.Options().(*descriptorpb.MethodOptions) // nil has the defaults
			asks := options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
			all["/"+name+"/"+string(method.Name())] = asks
		}
	}
	return all
}

// onlyPaths refuses, in words, a path that is none, and a way of asking that the call does not have: Connect and net/http
// send the bare status.
func onlyPaths(mux *http.ServeMux, next http.Handler) http.Handler {
	known := servedPaths()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, served := mux.Handler(r); served == "" || known.within(r.URL.Path) && !known.has(r.URL.Path) {
			http.Error(w, fmt.Sprintf("no call has the path %q; %s", cut(r.URL.Path, maxFieldBytes), known.hint(r.URL.Path)), http.StatusNotFound)
			return
		}
		asks := known[r.URL.Path]
		switch {
		case r.Method == http.MethodPost || !known.has(r.URL.Path):
			next.ServeHTTP(w, r)
		case r.Method != http.MethodGet || !asks:
			w.Header().Set("Allow", allowed(asks))
			http.Error(w, "this call is made with POST; with curl: -H 'content-type: application/json' -d '{}', and for a stream as docs/protocol says", http.StatusMethodNotAllowed)
		case !slices.Contains(getEncodings, r.URL.Query().Get("encoding")):
			http.Error(w, "a GET brings its message in the query, as ?connect=v1&encoding=json&message={}, percent-encoded; or send it with POST"+
				" and -H 'content-type: application/json'", http.StatusUnsupportedMediaType)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// getEncodings are how the query of a GET may write its message.
var getEncodings = append([]string{"proto"}, jsonNames...)

func allowed(get bool) string {
	if get {
		return "GET, POST"
	}
	return "POST"
}

func (p paths) has(path string) bool {
	_, ok := p[path]
	return ok
}

// within says whether a path is one of our services'.
func (p paths) within(path string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains(services, service)
}

// hint says which call a path seems to mean, or what a path looks like.
func (p paths) hint(path string) string {
	if hint := graph.DidYouMean(path, slices.Sorted(maps.Keys(p))); strings.HasPrefix(hint, "did") { // else it lists them all
		return hint
	}
	return "calls are POST /engram.v1.MemoryService/Recall and the like; docs/protocol has them all"
}
