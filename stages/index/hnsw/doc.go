// Package hnsw is the graph tier of a space's index: a hierarchical navigable small world (arXiv 1603.09320) over the codes of
// package quant, built in batches while it is searched.
//
// A batch is searched whole against the graph as it stands, by any number of workers; then lists are written, each by one
// worker, in an order that depends on the input alone (after ParlayANN, arXiv 2305.04359). So the same batches make the same
// graph, however many workers there are. There is no lock: one writer stores neighbours atomically under the readers' eyes,
// and a reader that finds a list half changed finds nodes that belong to the graph all the same.
//
// A walk goes by the estimates of 1-bit codes, and what it finds is compared by int8 codes. Vectors are their owner's.
//
// The types: Graph holds nodes and lists, and is what both sides share. Builder, of which there is one, inserts and removes.
// Searcher walks; each goroutine has its own. scorer compares codes. Validate says what is wrong with a graph, and Exact
// answers as a search does, by comparing all.
//
// Every node is held by a tree: at each of its levels it has a parent, which was in the graph before it, and the two list each
// other for as long as both are there; no pruning takes these entries out. So every node can be reached from the entry,
// whatever was inserted, duplicates too.
//
// Nodes are removed in two steps. What refers to them is mended while readers walk on through them; their numbers are used
// again when every search that may have seen them has ended.
package hnsw
