package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build (-ldflags "-X main.version=v1.2.3"); otherwise the module's own is shown.
var version = ""

const (
	unnamed       = "(devel)" // what Go calls a build of no version
	shortRevision = 12
)

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readVersion() versionInfo {
	info, _ := debug.ReadBuildInfo() // nil of a binary without
	return versionOf(version, info)
}

func versionOf(released string, info *debug.BuildInfo) versionInfo {
	v := versionInfo{Version: released, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == unnamed && v.Revision != "" {
		v.Version = v.Revision[:min(len(v.Revision), shortRevision)]
		if v.Modified {
			v.Version += "+dirty"
		}
	}
	return v
}

func newVersionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			return env.printer().print(v, func(w io.Writer) {
				fmt.Fprintf(w, "engram %s %s %s\n", v.Version, v.Go, v.Platform)
				if v.Revision != "" {
					fmt.Fprintf(w, "revision %s\n", v.Revision)
				}
			})
		},
	}
}
