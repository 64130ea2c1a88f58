package transports

import "time"

// Limits are the limits that an operator sets.
type Limits struct {
	MessageBytes int // the largest message read, in bytes
	Streams      int // streams served at a time, over all transports
	Calls        int // unary calls served at a time, over all transports
	RecallLimit  int // the largest `limit` of a recall
	AnswerBytes  int // what the answers of recalls and Gets may hold in memory, over all clients
}

// The fixed limits of a stream.
const (
	helloTimeout      = 5 * time.Second        // from the stream's start to its Hello
	heartbeatInterval = 15 * time.Second       // a Pong when nothing else was sent for so long
	pressureInterval  = 250 * time.Millisecond // between looks at the pressure for a client that was told to hold back
	writeTimeout      = 30 * time.Second       // without write progress the stream is cut; its session stays
	fenceLinger       = 5 * time.Second        // a fenced stream is read on for so long, to count what it still sends
	drainTimeout      = 10 * time.Second       // the most a closing stream waits for verdicts and recalls
	heaviestSpaces    = 10                     // that GetStats names for each stage, by what is queued and by how busy they keep it
	leastBusy         = 0.001                  // of a stage; less is idle

	statsPatience     = 100 * time.Millisecond // the most that GetStats waits for verdicts on what was received before it
	statsInterval     = time.Millisecond       // between looks
	answersRetry      = 250 * time.Millisecond // what a recall is told that finds no room for its answer
	textsRetry        = 250 * time.Millisecond // what a recall is told that finds too many texts being embedded
	callsRetry        = 100 * time.Millisecond // what a call is told that found too many at work
	shutdownReconnect = time.Second            // what GoAway tells a client to wait at a shutdown

	maxTextRecalls       = 256     // recalls whose text is being embedded, over all clients
	maxAdminCalls        = 64      // unary calls of operators at work, beside Limits.Calls
	maxConcurrentRecalls = 16      // on one stream
	maxQueuedHits        = 4096    // hits waiting for a stream's writer
	maxQueuedHitBytes    = 8 << 20 // and their bytes
	defaultChunkHits     = 100     // hits in a RecallChunk when the query does not say
	maxChunkBytes        = 1 << 20 // a chunk is cut before it grows past this, so that any client can read it
	maxReason            = 2 << 10 // bytes of an error in words, since long status messages hang some clients
	maxViolations        = 8       // of a request that are told
	maxTraceparent       = 55      // characters of a W3C traceparent

	maxWatchLag      = 1 << 16 // versions that a watcher may fall behind once it has caught up
	maxPageSize      = 1000    // spaces, sessions or memories, in a page
	defaultPageSize  = 100
	maxTalliedSpaces = 100_000 // spaces with verdict counts of their own; beyond, only the totals count them
)
