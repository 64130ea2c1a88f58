package memory

import "time"

// IndexStats is a reading of an index: what it has done since the start, and what it holds now.
type IndexStats struct {
	// since the start
	Merged       uint64        // vectors put into graphs
	Merges       uint64        // the batches that they came in
	FailedMerges uint64        // after each of which the space is rebuilt
	Removed      uint64        // vectors taken out of graphs again
	Merging      time.Duration // spent on it, what goes on now included
	Waits        uint64        // of writers, for graphs that were too far behind
	Waited       time.Duration // those going on included
	Rebuilt      uint64        // spaces made again from the journal

	// now
	IndexHeld
	MostBehind     uint64 // IndexHeld.Behind of the space that has the most
	GraphedSpaces  int    // those with a graph
	ScannedSpaces  int    // those without
	UnloadedSpaces int    // those that nobody uses, which have no index in memory
	DegradedSpaces int    // those whose index is lost; each space is one of the four
}

// IndexHeld is what an index holds, of one space or of all. Vectors of memories that are replaced or forgotten count until
// they are let go.
type IndexHeld struct {
	Graphed uint64 // vectors in graphs
	Scanned uint64 // vectors in none
	Behind  uint64 // those of Scanned that a graph is to take: of spaces that have one, or are large enough for one

	// bytes
	Codes   uint64 // of Scanned, and of what graphs took over a moment ago
	Graphs  uint64 // codes and lists
	Records uint64 // of all versions of memories
	IDs     uint64 // the tables of memory_ids
	// Unloaded is for finding in the journal what is of unloaded spaces; they have nothing of the others, vectors neither.
	Unloaded uint64
}

// Add adds what another space has.
func (h *IndexHeld) Add(o IndexHeld) {
	h.Graphed += o.Graphed
	h.Scanned += o.Scanned
	h.Behind += o.Behind
	h.Codes += o.Codes
	h.Graphs += o.Graphs
	h.Records += o.Records
	h.IDs += o.IDs
	h.Unloaded += o.Unloaded
}
