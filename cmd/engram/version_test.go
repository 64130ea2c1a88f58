package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersionOf(t *testing.T) {
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	assert.Equal(t, "v1.2.3", versionOf("v1.2.3", build("(devel)", revision)).Version)
	assert.Equal(t, "v0.0.1", versionOf("", build("v0.0.1", revision)).Version)
	assert.Equal(t, "0123456789ab", versionOf("", build("(devel)", revision)).Version)
	assert.Equal(t, "0123456789ab+dirty", versionOf("", build("(devel)", revision, modified)).Version)
	assert.Equal(t, "(devel)", versionOf("", build("(devel)")).Version)
	assert.Empty(t, versionOf("", nil).Version)
}
