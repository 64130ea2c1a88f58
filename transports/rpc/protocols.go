package rpc

import (
	"net/http"
	"slices"
	"strings"
)

// onlyProtocols refuses what the pipeline did not name.
func onlyProtocols(allowed []string, next http.Handler) http.Handler {
	if len(allowed) == len(protocols) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol := protocolOf(r)
		if !slices.Contains(allowed, protocol) {
			http.Error(w, "this server does not speak "+protocol+"; it speaks "+strings.Join(allowed, ", "), http.StatusUnsupportedMediaType)
			return
		}
		next.ServeHTTP(w, r)
	})
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
