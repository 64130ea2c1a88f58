package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBefore(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for given, want := range map[string]time.Time{
		"2026-01-31T00:00:00Z":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
		"2026-01-31T02:00:00.5+02:00":    time.Date(2026, 1, 31, 0, 0, 0, 5e8, time.UTC),
		"0001-01-01T00:00:00Z":           {}, // for the server to refuse
		"9999-12-31T23:59:59.999999999Z": time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		"90m":                            now.Add(-90 * time.Minute),
		"720h":                           now.AddDate(0, 0, -30),
		"30d":                            now.AddDate(0, 0, -30),
		"1d12h":                          now.Add(-36 * time.Hour),
		"100000d":                        now.AddDate(0, 0, -100_000),
	} {
		got, err := parseBefore(given, now)
		assert.NoError(t, err, given)
		assert.True(t, want.Equal(got), "%s: %v", given, got)
	}
	for _, given := range []string{
		"", "d", "30", "1.5d", "-1d", "30d1", "12h1d", "100001d", "100000d2000000h", "99999999999999999999d", "2026-01-31", "0d", "-0s",
	} {
		_, err := parseBefore(given, now)
		assert.ErrorContains(t, err, "--before", given)
	}
}
