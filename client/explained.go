package client

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// maxExplanation bounds, in bytes, what is read and shown of an answer that is no RPC.
const maxExplanation = 300

// explained makes an error of an answer that is no gRPC at all, with what it says. Connect would drop the body, and with
// it the only hint that a proxy, another server, or an engram that was told to speak other protocols stands there.
type explained struct {
	to      connect.HTTPClient
	address string
}

// Do implements connect.HTTPClient.
func (c explained) Do(request *http.Request) (*http.Response, error) {
	response, err := c.to.Do(request)
	if err != nil || response.StatusCode == http.StatusOK {
		return response, err
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxExplanation)) // what was read before an error explains too
	message := fmt.Sprintf("%s answered HTTP %s", c.address, response.Status)
	if text := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "")), " "); text != "" {
		message += fmt.Sprintf(", %q", text)
	}
	return nil, &Error{
		Code:    codeOfStatus(response.StatusCode),
		Message: message + "; this client speaks gRPC, which may not be served there",
	}
}

// codeOfStatus is gRPC's own table (doc/http-grpc-status-mapping.md), and 415 besides: that says "not gRPC" and stays so.
func codeOfStatus(status int) connect.Code {
	switch status {
	case http.StatusBadRequest:
		return connect.CodeInternal
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound, http.StatusUnsupportedMediaType:
		return connect.CodeUnimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return connect.CodeUnavailable
	}
	return connect.CodeUnknown
}
