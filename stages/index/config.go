package index

import (
	"fmt"
	"runtime"
	"time"
)

// Config is the settings of the stage in a pipeline file. Recall's limits are the pipeline's `recall`.
type Config struct {
	// Vectors of a space from which on it has a graph; below, comparing all is as fast. 0: there are no graphs.
	// Range: 0, or 1000 to 100000000
	GraphFrom int `yaml:"graph_from"`
	// Vectors of a space that its graph may be behind: beyond, writers wait for the graph.
	// Range: at least `graph_from` and 10000
	FreshLimit int `yaml:"fresh_limit"`
	// Goroutines that build graphs, in turns of some 50 µs, beside recalls. 0: half as many as there are cores.
	// Range: 0 to 256
	MergeWorkers int `yaml:"merge_workers"`
	// Spaces that nobody writes to or asks for so long are let go of, but for a few bytes a memory; who asks then waits until
	// the space is read from the journal again: some 10 µs a memory. 0: all stay in memory.
	// Range: 0, or 1s to 8760h
	UnloadAfter time.Duration `yaml:"unload_after"`
	// Whether what is nearest by its codes is compared again by its vectors, from the journal, so that scores are exact.
	Rescore bool `yaml:"rescore"`
}

const (
	leastGraph = 1000
	mostFresh  = 100_000_000
	leastFresh = 10_000
	mostMerge  = 256
	leastIdle  = time.Second
	mostIdle   = 365 * 24 * time.Hour
)

var defaults = Config{GraphFrom: 50_000, FreshLimit: 4_000_000, Rescore: true}

// Check implements config's Checker.
func (c *Config) Check(report func(field, message, hint string)) {
	if c.GraphFrom != 0 && (c.GraphFrom < leastGraph || c.GraphFrom > mostFresh) {
		report("graph_from", fmt.Sprintf("%d is out of range", c.GraphFrom), fmt.Sprintf("give %d to %d, or 0 for no graphs", leastGraph, mostFresh))
	}
	if least := max(leastFresh, c.GraphFrom); c.FreshLimit < least {
		report("fresh_limit", fmt.Sprintf("%d is out of range", c.FreshLimit), fmt.Sprintf("give at least %d: what a graph begins with, and %d", least, leastFresh))
	}
	if c.UnloadAfter != 0 && (c.UnloadAfter < leastIdle || c.UnloadAfter > mostIdle) {
		report("unload_after", fmt.Sprintf("%v is out of range", c.UnloadAfter), fmt.Sprintf("give %v to %v, or 0 to keep all in memory", leastIdle, mostIdle))
	}
	if c.MergeWorkers < 0 || c.MergeWorkers > mostMerge {
		report("merge_workers", fmt.Sprintf("%d is out of range", c.MergeWorkers), fmt.Sprintf("give 0 to %d", mostMerge))
	}
}

// limits returns when and how graphs are built.
func (c *Config) limits() mergeLimits {
	workers := c.MergeWorkers
	if workers == 0 {
		workers = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	return mergeLimits{graphFrom: c.GraphFrom, workers: workers}
}
