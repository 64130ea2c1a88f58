package client

import (
	"context"
	"iter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Observed is what became of the observations of one Client.Observe.
type Observed struct {
	// MemoryIDs has one id for each observation, in order; empty for a rejected one.
	MemoryIDs []string
	// Rejected are the refused ones, by index.
	Rejected []RejectedError
	// Version of the space from which on recalls find them.
	Version uint64
	// Duplicate says that a call with the same request id had stored them already; nothing was stored again.
	Duplicate bool
}

// ObserveOption changes a Client.Observe.
type ObserveOption interface {
	applyObserve(*engramv1.ObserveRequest)
}

// ForgetOption changes a Client.Forget.
type ForgetOption interface{ applyForget(*engramv1.ForgetRequest) }

// GetOption changes a Client.Get.
type GetOption interface{ applyGet(*engramv1.GetRequest) }

// ListOption changes a Client.List.
type ListOption interface {
	applyList(*engramv1.ListMemoriesRequest)
}

// RequestID names a call, at most 64 characters. A call that is made again under its name, because the answer was
// lost, is applied once. The server remembers names for some minutes.
type RequestID string

func (id RequestID) applyObserve(r *engramv1.ObserveRequest) { r.RequestId = string(id) }
func (id RequestID) applyForget(r *engramv1.ForgetRequest)   { r.RequestId = string(id) }

// DryRun makes Client.Forget count what it would remove, and remove nothing.
type DryRun struct{}

func (DryRun) applyForget(r *engramv1.ForgetRequest) { r.DryRun = true }

// Before makes Client.Forget remove only what happened before a time: its ObservedAt, or where that was not given the time
// at which the server received it. Without ids that is everything which is so old.
type Before time.Time

func (b Before) applyForget(r *engramv1.ForgetRequest) {
	r.Target.ObservedBefore = timestamppb.New(time.Time(b))
}

// WithEmbedding makes Client.Get and Client.List return the embeddings too.
type WithEmbedding struct{}

func (WithEmbedding) applyGet(r *engramv1.GetRequest)           { r.IncludeEmbedding = true }
func (WithEmbedding) applyList(r *engramv1.ListMemoriesRequest) { r.IncludeEmbedding = true }

// Observe stores up to 1,024 observations and returns once they are durable and found by recall. A space that does
// not exist is made, its dimension taken from the first embedding. For a stream of them, Open a Session: it is an order
// of magnitude faster.
//
// If some observations are rejected the others are stored, and both results are set: what was stored, and a
// *RejectedError. A ResourceExhausted or Unavailable *Error means that nothing may have been stored; to repeat such a
// call without storing twice, give it a RequestID.
func (c *Client) Observe(ctx context.Context, space string, observations []Observation, opts ...ObserveOption) (*Observed, error) {
	req := &engramv1.ObserveRequest{Space: space, Observations: make([]*engramv1.Observation, len(observations))}
	for i := range observations {
		w, err := observations[i].encode()
		if err != nil {
			return nil, atIndex(err, i)
		}
		req.Observations[i] = w
	}
	for _, o := range opts {
		o.applyObserve(req)
	}
	res, err := c.memory.Observe(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, c.failure("observe", err)
	}
	out := &Observed{MemoryIDs: res.Msg.GetMemoryIds(), Version: res.Msg.GetCommitVersion(), Duplicate: res.Msg.GetDuplicate()}
	return out, out.reject(res.Msg.GetRejected())
}

func (o *Observed) reject(rejections []*engramv1.Rejection) error {
	var count uint64
	for _, r := range rejections {
		e := rejectedFrom(r)
		count += e.Last - e.First + 1
		o.Rejected = append(o.Rejected, e)
	}
	if len(o.Rejected) == 0 {
		return nil
	}
	first := o.Rejected[0]
	first.More = int(count - (first.Last - first.First + 1))
	return &first
}

// Memories is the answer to Client.Get.
type Memories struct {
	Found   []Memory // in the order asked for
	Missing []string // ids that the space does not hold
}

// Get returns up to 1,000 memories by id, with content and metadata; WithEmbedding adds the embeddings. An id that the
// space does not hold is no error: it is in Missing.
func (c *Client) Get(ctx context.Context, space string, ids []string, opts ...GetOption) (*Memories, error) {
	req := &engramv1.GetRequest{Space: space, MemoryIds: ids}
	for _, o := range opts {
		o.applyGet(req)
	}
	res, err := c.memory.Get(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, c.failure("get", err)
	}
	out := &Memories{Missing: res.Msg.GetMissing()}
	for _, h := range res.Msg.GetMemories() {
		out.Found = append(out.Found, decodeMemory(h))
	}
	return out, nil
}

// List yields the memories of a space by rising version, with content and metadata; WithEmbedding adds the embeddings. It
// reads page by page, each as of then: a memory that is replaced meanwhile may come again, under its new version. After an
// error, which is yielded with an empty memory, it ends.
func (c *Client) List(ctx context.Context, space string, opts ...ListOption) iter.Seq2[Memory, error] {
	return func(yield func(Memory, error) bool) {
		req := &engramv1.ListMemoriesRequest{Space: space}
		for _, o := range opts {
			o.applyList(req)
		}
		for {
			res, err := c.memory.ListMemories(ctx, connect.NewRequest(req))
			if err != nil {
				yield(Memory{}, c.failure("list", err))
				return
			}
			for _, h := range res.Msg.GetMemories() {
				if !yield(decodeMemory(h), nil) {
					return
				}
			}
			if req.PageToken = res.Msg.GetNextPageToken(); req.PageToken == "" {
				return
			}
		}
	}
}

// Forgotten is the answer to Client.Forget.
type Forgotten struct {
	Matched uint64 // memories removed, or that DryRun would remove
	Version uint64 // of the space from which on recalls no longer find them; 0 for DryRun
}

// Forget removes up to 10,000 memories by id, or with Before by age, and returns once no recall finds them. An id that the
// space does not hold is no error.
func (c *Client) Forget(ctx context.Context, space string, ids []string, opts ...ForgetOption) (*Forgotten, error) {
	req := &engramv1.ForgetRequest{Space: space, Target: &engramv1.ForgetTarget{MemoryIds: ids}}
	for _, o := range opts {
		o.applyForget(req)
	}
	res, err := c.memory.Forget(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, c.failure("forget", err)
	}
	return &Forgotten{Matched: res.Msg.GetMatched(), Version: res.Msg.GetCommitVersion()}, nil
}
