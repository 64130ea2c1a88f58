package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/app"
	"github.com/engram-stream/engram/internal/fault"
)

type serveFlags struct {
	config   string
	data     string
	listen   string
	insecure bool
	logLevel slog.Level
	stopIn   time.Duration

	overrides []config.Override // the settings among the flags that are given
}

func newServeCommand(env *environment) *cobra.Command {
	f := serveFlags{}
	level := "info"
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server",
		Long: "serve runs the server in the foreground until SIGINT or SIGTERM, and then stops gracefully: clients are told,\n" +
			"what was offered gets its verdict, acks are written. A second signal ends it at once.\n\n" +
			"Flags win over the environment (ENGRAM_LISTEN, ENGRAM_DATA), that over the pipeline file, that over the defaults.",
		Example: "  engram serve\n  engram serve --config pipeline.yaml --data /srv/engram --listen 127.0.0.1:7321",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.logLevel.UnmarshalText([]byte(level)); err != nil {
				return usageError("--log-level %q: give debug, info, warn or error", level)
			}
			if err := f.check(cmd.Flags().Changed); err != nil {
				return err
			}
			return serve(cmd.Context(), env, &f)
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "", "pipeline file; the built-in pipeline when left out")
	f.addOverrides(cmd)
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "allow an address beyond loopback: there are no keys and no TLS yet")
	cmd.Flags().StringVar(&level, "log-level", level, "debug, info, warn or error")
	cmd.Flags().DurationVar(&f.stopIn, "stop-timeout", 15*time.Second, "how long a graceful stop may take")
	return cmd
}

// addOverrides adds the flags that are settings.
func (f *serveFlags) addOverrides(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", "", "data folder, made if missing (default ./data)")
	cmd.Flags().StringVar(&f.listen, "listen", "", "host:port (default 127.0.0.1:7320); port 0 takes a free one")
}

// check takes a flag that is given and empty at its word: a variable in a script that was not set must not start a server
// on other data.
func (f *serveFlags) check(given func(flag string) bool) error {
	if f.config == "" && given("config") {
		return usageError("--config names no file")
	}
	for key, value := range map[string]string{"data": f.data, "listen": f.listen} {
		if given(key) {
			f.overrides = append(f.overrides, config.Override{Path: key, Value: value, Layer: config.Flags, Name: "--" + key})
		}
	}
	return checkPositive("--stop-timeout", f.stopIn)
}

type readyReport struct {
	Address string `json:"address"`
	Data    string `json:"data"`
	PID     int    `json:"pid"`
}

func serve(ctx context.Context, env *environment, f *serveFlags) error {
	logger := slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: f.logLevel}))
	server, err := app.New(app.Config{File: f.config, Overrides: f.overrides, Insecure: f.insecure, Logger: logger, Version: readVersion().Version})
	if err != nil {
		return startError(err)
	}
	if err := server.Start(ctx); err != nil {
		return startError(err)
	}
	ready := readyReport{Address: server.Address(), Data: server.DataDir(), PID: os.Getpid()}
	printErr := env.printer().print(ready, func(w io.Writer) {
		fmt.Fprintf(w, "engram is ready on http://%s, data in %s\n", ready.Address, ready.Data)
	})
	var serveErr error
	if printErr == nil {
		serveErr = server.Wait(ctx)
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.stopIn)
	defer cancel()
	return errors.Join(printErr, serveErr, server.Stop(stopCtx))
}

// startError tells a wrong pipeline or address, which no retry mends, from a start that failed.
func startError(err error) error {
	if _, invalid := errors.AsType[*app.InvalidPipeline](err); invalid {
		return &exitError{code: exitUsage, err: err}
	}
	switch fault.KindOf(err) {
	case fault.InvalidArgument, fault.NotFound:
		return &exitError{code: exitUsage, err: err}
	}
	return err
}
