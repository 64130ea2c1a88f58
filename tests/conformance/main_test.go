// Package conformance holds every transport to the same scenarios (transports/transporttest), over the server that the
// binary runs.
package conformance

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
