package main

import (
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// maxDays keeps a duration in days within what a time.Duration holds, 292 years.
	maxDays = 100_000
)

// parseBefore reads a point in time: as RFC 3339 says, or as a duration back from now, in Go's units and whole days.
func parseBefore(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := parseDuration(text)
	if err != nil {
		return time.Time{}, usageError("--before %q: give a time such as 2026-01-31T00:00:00Z, or how long ago, such as 90m, 720h or 30d", text)
	}
	if ago <= 0 {
		return time.Time{}, usageError("--before %s: give a time above zero, such as 720h", text)
	}
	return now.Add(-ago), nil
}

// parseDuration is time.ParseDuration with days: 30d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	count, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	days, err := strconv.ParseUint(count, 10, 64)
	if err != nil {
		return 0, err
	}
	if days > maxDays {
		return 0, strconv.ErrRange
	}
	if rest == "" {
		return time.Duration(days) * day, nil
	}
	more, err := time.ParseDuration(rest)
	return time.Duration(days)*day + more, err
}
