package transports

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// recallAnswer is the answer to one recall in pieces: RecallStarted, chunks, RecallDone.
type recallAnswer struct {
	id        uint64 // 0 on RecallStream
	query     memory.Query
	chunkHits int
	began     time.Time

	scanned int
	sent    int // hits in the chunks so far
}

// parse checks the rules of what carries the query, and reads it.
func (a *recallAnswer) parse(request proto.Message, query *engramv1.RecallQuery, limit int) (err error) {
	if err := Validate(request); err != nil {
		return err
	}
	if a.chunkHits = int(query.GetChunkSize()); a.chunkHits == 0 {
		a.chunkHits = defaultChunkHits
	}
	a.query, err = queryFromWire(query, limit)
	return err
}

func (a *recallAnswer) started(result memory.Result) *engramv1.RecallStarted {
	a.scanned = result.Scanned
	return &engramv1.RecallStarted{
		RecallId: a.id, SnapshotVersion: uint64(result.Snapshot), GraphedVersion: uint64(result.Graphed),
		Embedder: result.Embedder,
	}
}

// chunks hands the hits on in pieces, with their weights in bytes. A piece's size is the query's, cut where it grows too
// heavy.
func (a *recallAnswer) chunks(hits []memory.Hit, send func(hits []memory.Hit, bytes int) error) error {
	for len(hits) > 0 {
		n, bytes := chunk(hits, a.chunkHits)
		if err := send(hits[:n], bytes); err != nil {
			return err
		}
		a.sent += n
		hits = hits[n:]
	}
	return nil
}

// chunk returns how many hits the next chunk takes, at least one, and their weight in bytes.
func chunk(hits []memory.Hit, most int) (n, bytes int) {
	for n < len(hits) && n < most {
		weight := hitBytes(&hits[n])
		if n > 0 && bytes+weight > maxChunkBytes {
			break
		}
		n++
		bytes += weight
	}
	return n, bytes
}

func (a *recallAnswer) chunk(hits []memory.Hit) *engramv1.RecallChunk {
	return &engramv1.RecallChunk{RecallId: a.id, Hits: hitsToWire(hits)}
}

// done ends the recall: with an error, its code, its reason in words, and when to retry.
func (a *recallAnswer) done(err error) *engramv1.RecallDone {
	done := &engramv1.RecallDone{
		RecallId: a.id, TotalHits: uint32(a.sent), Elapsed: durationpb.New(time.Since(a.began)), TailScanned: uint32(a.scanned),
	}
	if err != nil {
		done.Code, done.Reason = fault.KindOf(err).Code(), brief(err)
		if f := fault.As(err); f != nil {
			done.RetryAfter, done.ErrorReason = durationToWire(f.RetryAfter), f.Reason
		}
	}
	return done
}

// brief renders an error for the wire, cut to maxReason.
func brief(err error) string {
	return strings.ToValidUTF8(err.Error()[:min(len(err.Error()), maxReason)], "")
}

// RecallStream answers one recall in pieces, without a session. Its errors are those of Recall, before anything is sent.
func (s *Server) RecallStream(ctx context.Context, r *engramv1.RecallStreamRequest, send func(*engramv1.RecallStreamResponse) error) error {
	a := &recallAnswer{began: time.Now()}
	if err := a.parse(r, r.GetQuery(), s.limits.RecallLimit); err != nil {
		return err
	}
	a.query.Hold = holdOf(ctx)
	result, err := s.recall(ctx, r.GetSpace(), a.query)
	if err != nil {
		return err
	}
	started := &engramv1.RecallStreamResponse_Started{Started: a.started(result)}
	if err := send(&engramv1.RecallStreamResponse{Frame: started}); err != nil {
		return err
	}
	err = a.chunks(result.Hits, func(hits []memory.Hit, _ int) error {
		return send(&engramv1.RecallStreamResponse{Frame: &engramv1.RecallStreamResponse_Chunk{Chunk: a.chunk(hits)}})
	})
	if err != nil {
		return err
	}
	return send(&engramv1.RecallStreamResponse{Frame: &engramv1.RecallStreamResponse_Done{Done: a.done(nil)}})
}
