package embed

import "github.com/engram-stream/engram/internal/fault"

func gaveUp(cause error) error {
	return fault.Wrap(fault.Canceled, cause, "gave up embedding").WithOp("embed")
}
