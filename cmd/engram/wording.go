package main

import (
	"errors"
	"strings"

	"github.com/engram-stream/engram/client"
)

// wording is what to say, by an error's reason, in place of the server's words. Those name calls and fields, since
// they are for clients of every kind; where another version has other words, they stay.
var wording = map[string]*strings.Replacer{
	"SPACE_NOT_FOUND": strings.NewReplacer(
		": space: it does not", ": it does not", ": name: it does not", ": it does not",
		"the first observation makes a space, as does CreateSpace; ListSpaces shows what there is", "see: engram spaces",
	),
	"SESSION_EXPIRED": strings.NewReplacer("ListSessions tells which there are", "see: engram sessions"),
	"NO_EMBEDDER":     strings.NewReplacer("query.text: ", "", "send an embedding", "give --vector or --like"),
}

// inShell renders an error for who typed a command.
func inShell(err error) string {
	text := plain(err)
	if e, ok := errors.AsType[*client.Error](err); ok && wording[e.Reason] != nil {
		return wording[e.Reason].Replace(text)
	}
	return text
}
