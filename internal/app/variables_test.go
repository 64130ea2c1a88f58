package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMisspeltVariables(t *testing.T) {
	assert.Equal(t, []string{
		`the environment variable ENGRAM_LISTN sets nothing; did you mean "ENGRAM_LISTEN"?`,
		`the environment variable ENGRAM_ADDRESSES sets nothing; did you mean "ENGRAM_ADDRESS"?`,
		`the environment variable ENGRAM_LIMIT_STREAMS sets nothing; did you mean "ENGRAM_LIMITS_STREAMS"?`,
	}, MisspeltVariables([]string{
		"ENGRAM_LISTN=x", "ENGRAM_ADDRESSES=x", "ENGRAM_LIMIT_STREAMS=7",
		"ENGRAM_LISTEN=x", "ENGRAM_ADDRESS=x", "ENGRAM_DATA=", "ENGRAM_HOST=h", "ENGRAM_PORT=1", "LISTN=x", "ENGRAM_",
	}, "ENGRAM_ADDRESS"))
}
