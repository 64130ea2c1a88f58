package rpc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// onlyProtocols refuses what the pipeline did not name, and what no protocol is, in words.
func onlyProtocols(allowed []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind := contentType(r); r.Method == http.MethodPost && !readable(kind) {
			http.Error(w, fmt.Sprintf("the content type %q is none that this server reads; for JSON send it with -H 'content-type: application/json'",
				kind), http.StatusUnsupportedMediaType)
			return
		}
		protocol := protocolOf(r)
		if !slices.Contains(allowed, protocol) {
			http.Error(w, "this server does not speak "+protocol+"; it speaks "+strings.Join(allowed, ", "), http.StatusUnsupportedMediaType)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// overHTTP2 refuses a stream both ways that comes over HTTP/1.1, in words: Connect sends the bare status.
func overHTTP2(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			w.Header().Set("Connection", "close") // its client may wait for an answer before it has sent all
			http.Error(w, "a stream both ways needs HTTP/2, and this came over "+r.Proto+
				"; let the client speak HTTP/2 without TLS (prior knowledge), or use MemoryService's calls", http.StatusHTTPVersionNotSupported)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readable says whether a media type is one of the protocols'.
func readable(kind string) bool {
	return slices.ContainsFunc([]string{"application/json", "application/proto", "application/connect+", "application/grpc"},
		func(known string) bool { return strings.HasPrefix(kind, known) })
}

// contentType returns a request's media type. Its case means nothing (RFC 9110, 8.3.1).
func contentType(r *http.Request) string { return strings.ToLower(r.Header.Get("Content-Type")) }

// protocolOf tells the protocol of a request by its content type, as the protocols themselves do.
func protocolOf(r *http.Request) string {
	switch kind := contentType(r); {
	case strings.HasPrefix(kind, "application/grpc-web"):
		return GRPCWeb
	case strings.HasPrefix(kind, "application/grpc"):
		return GRPC
	}
	return Connect
}
