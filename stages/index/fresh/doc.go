// Package fresh is the scanned tier of a space's index: every vector's codes, in append-only blocks, compared one and all.
// Vectors at full precision are their owner's to keep; Exact compares those that a scan has found.
//
// A tier of a few thousand vectors has int8 codes alone. When it grows beyond, it gets a frame around their mean and 1-bit
// codes for what is in it and what comes: see package quant.
//
// One writer, the space's owner, prepares, commits and kills; any number of readers scan and look up; neither side
// takes a lock. Memory grows in blocks that never move, behind a directory that is replaced whole.
//
// The publication protocol; a reader's snapshot is a version that the writer's caller published after step 5:
//  1. W: Prepare writes a vector and its record past the published end. No reader goes there.
//  2. W: a full last block means a new block: a longer directory is stored (atomic); the old one stays valid.
//  3. W: Discard forgets what was prepared: only the writer's own tail moves. Its slots are written again later.
//  4. W: Commit stores the end (atomic). The new births are above every published version: readers stop before them.
//  5. W: Kill stores deaths (atomic), also above every published version; only then is the version published.
//     Release replaces the directory by one without the codes of old blocks: readers of the one before still have them.
//  6. R: load the version, then the end, then the directory, in this order: each covers what the one before promises.
//  7. R: births rise with the slots, so scan until birth > version; skip what has 0 < death <= version.
package fresh
