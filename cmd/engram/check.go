package main

import (
	"net"
	"regexp"
	"strings"
	"time"
)

const maxSpaceName = 64

// spaceName is the protocol's rule; the server says it as a pattern, this in words.
var spaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func checkSpace(name string) error {
	if len(name) > maxSpaceName || !spaceName.MatchString(name) {
		return usageError("%q is no name for a space: use 1 to %d of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
			name, maxSpaceName)
	}
	return nil
}

// checkIDs refuses the argument that a shell makes of a variable which is not set.
func checkIDs(ids []string) error {
	for i, id := range ids {
		if id == "" {
			return usageError("id %d of %d is empty", i+1, len(ids))
		}
	}
	return nil
}

func checkPositive(flag string, d time.Duration) error {
	if d <= 0 {
		return usageError("%s %v: give a time above zero, such as 10s", flag, d)
	}
	return nil
}

// withPort adds engram's port to a host without one. A URL is left alone: without a port it means that of its scheme.
func withPort(address string) (string, error) {
	if address == "" || strings.Contains(address, "/") {
		return address, nil
	}
	_, port, err := net.SplitHostPort(address)
	switch host := strings.Trim(address, "[]"); {
	case err == nil && port == "":
		return "", usageError("--address %q: the port is missing after the colon", address)
	case err == nil:
		return address, nil
	case !strings.Contains(host, ":") || net.ParseIP(host) != nil:
		return net.JoinHostPort(host, defaultPort), nil
	}
	return address, nil // the client says what is wrong with it
}
