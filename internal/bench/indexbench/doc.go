// Package indexbench measures the index stage in this process: what an insert costs until it is findable, what a recall takes,
// idle and meanwhile, and how many of the right answers come.
//
// What runs is the stage as a pipeline has it, in a graph of its own: a source, a credit, the stage behind its queue, and a
// sink; recalls go through the service that the stage exports. Under it is a journal that appends nothing: every op is durable
// at once, and what the index reads of an op, such as the vectors that recalls are compared by, it takes from the mapped data
// set. So disk, sync, checksums and decoding are left out, and so are sessions and the network.
//
// Run measures one data set, Play carries out a runbook, RunHNSW measures the graph tier alone.
package indexbench
