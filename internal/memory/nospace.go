package memory

import "github.com/engram-stream/engram/internal/fault"

// NoSpace is the error of what asks for a space that does not exist. Its field is the request's name for the space.
func NoSpace() *fault.Error {
	return fault.New(fault.NotFound, "it does not exist").WithField("space").WithReason("SPACE_NOT_FOUND").
		WithHint("the first observation makes a space, as does CreateSpace; ListSpaces shows what there is")
}
