package client

import (
	"fmt"

	"connectrpc.com/connect"
)

const (
	perPage = 1000
	// maxPages bounds a listing against a server that never ends.
	maxPages = 100_000
)

// allPages asks for one page after the other, each with the token of the one before, until there is none.
func allPages[T any](op string, page func(token string) (items []T, next string, err error)) ([]T, error) {
	var all []T
	token := ""
	for range maxPages {
		items, next, err := page(token)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if token = next; token == "" {
			return all, nil
		}
	}
	message := fmt.Sprintf("the server still had more after %d pages", maxPages)
	return nil, &Error{Op: op, Code: connect.CodeOutOfRange, Message: message}
}

// decoded decodes the items of a page.
func decoded[W, T any](wire []W, decode func(W) T) []T {
	out := make([]T, len(wire))
	for i, w := range wire {
		out[i] = decode(w)
	}
	return out
}
