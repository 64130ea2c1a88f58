package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheHeaviestSpacesAsATable(t *testing.T) {
	var out strings.Builder
	(&loadsReport{Spaces: []loadJSON{{Name: "faces", Queued: 120, Busy: 0.9312, Stage: "index"}, {Name: "birds", Queued: 3, Stage: "journal"}}}).write(&out)
	assert.Equal(t, "SPACE  QUEUED  BUSY    STAGE\nfaces  120     93.1 %  index\nbirds  3       0.0 %   journal\n", out.String())
	out.Reset()
	(&loadsReport{}).write(&out)
	assert.Equal(t, "nothing is written to any space\n", out.String())
}
