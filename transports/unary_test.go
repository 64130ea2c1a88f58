package transports

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func observeRequest(contents ...string) *engramv1.ObserveRequest {
	return &engramv1.ObserveRequest{Space: "faces", Observations: observeFrame(1, contents...).GetObserve().GetObservations()}
}

func TestUnaryObserveAnswersItemByItem(t *testing.T) {
	h := newHarness()
	h.pipeline.rejected["bad"] = memory.Rejection{Code: 3, Reason: "no", Field: "embedding"}
	r := observeRequest("a", "bad", "bad", "b")
	r.Observations[0].MemoryId = "mine"
	response, err := h.Observe(t.Context(), r)
	require.NoError(t, err)
	ids := response.GetMemoryIds()
	require.Len(t, ids, 4)
	assert.Equal(t, "mine", ids[0])
	assert.Empty(t, ids[1])
	assert.Empty(t, ids[2])
	assert.True(t, strings.HasPrefix(ids[3], "u") && strings.HasSuffix(ids[3], "-4"), "named as decode names it: %q", ids[3])
	require.Len(t, response.GetRejected(), 1)
	assert.Equal(t, uint64(1), response.GetRejected()[0].GetRange().GetFirst(), "indexes into the request")
	assert.Equal(t, uint64(2), response.GetRejected()[0].GetRange().GetLast())
	assert.Equal(t, "embedding", response.GetRejected()[0].GetField())
	assert.Equal(t, uint64(4), response.GetCommitVersion())
	assert.False(t, response.GetDuplicate())
	assert.Equal(t, session.Tally{Offered: 4, Accepted: 2, Rejected: 2}, h.hub.Tally())
}

func TestUnaryRequestIDsNameOneSession(t *testing.T) {
	h := newHarness()
	first, other, elsewhere := h.newCall("observe", "faces", "r1"), h.newCall("observe", "faces", "r2"), h.newCall("observe", "voices", "r1")
	assert.Equal(t, first.att.SessionID, h.newCall("observe", "faces", "r1").att.SessionID)
	assert.NotEqual(t, first.att.SessionID, other.att.SessionID)
	assert.NotEqual(t, first.att.SessionID, elsewhere.att.SessionID)
	assert.NotEqual(t, first.att.SessionID, h.newCall("forget", "faces", "r1").att.SessionID, "a forget is no repeat of an observe")
	assert.True(t, first.att.Remember && strings.HasPrefix(first.att.SessionID, "r"))
	anonymous := h.newCall("observe", "faces", "")
	assert.False(t, anonymous.att.Remember)
	assert.NotEqual(t, anonymous.att.SessionID, h.newCall("observe", "faces", "").att.SessionID)
}

// fate is a Durability that a test decides.
type fate struct {
	done chan struct{}
	err  error
}

func (f *fate) Done() <-chan struct{} { return f.done }
func (f *fate) Err() error            { return f.err }

func TestUnaryDuplicateWaitsForTheOriginal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		original := &fate{done: make(chan struct{})}
		h.pipeline.err = &session.Refusal{
			Verdict: session.Duplicate, Durable: original, Version: 12,
			Rejected: func() ([]session.RejectedRange, error) {
				return []session.RejectedRange{{First: 2, Last: 2, Rejection: memory.Rejection{Code: 3}}}, nil
			},
		}
		r := observeRequest("a", "b")
		r.RequestId = "again"
		answered := make(chan *engramv1.ObserveResponse, 1)
		go func() {
			response, err := h.Observe(t.Context(), r)
			assert.NoError(t, err)
			answered <- response
		}()
		synctest.Wait()
		assert.Empty(t, answered, "answered before the original was durable")
		close(original.done)
		response := <-answered
		assert.True(t, response.GetDuplicate())
		assert.Equal(t, uint64(12), response.GetCommitVersion())
		assert.Empty(t, response.GetMemoryIds()[1], "what the original had rejected")
		assert.Equal(t, []memory.Version{12}, h.index.waited, "and before it was findable")
	})
}

func TestUnaryFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		kind   fault.Kind
		reason string
	}{
		"full":     {&session.Refusal{Verdict: session.Nacked, Nack: session.NackResourceExhausted, Retry: 2 * time.Second}, fault.ResourceExhausted, "QUEUE_FULL"},
		"storage":  {&session.Refusal{Verdict: session.Nacked, Nack: session.NackStorageUnavailable}, fault.StorageUnavailable, "STORAGE_UNAVAILABLE"},
		"draining": {graph.ErrDraining, fault.Unavailable, "SHUTDOWN"},
		"lost":     {fault.New(fault.Internal, "boom"), fault.Unavailable, "ABORTED"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness()
			h.pipeline.err = c.err
			_, err := h.Observe(t.Context(), observeRequest("a", "b"))
			require.Error(t, err)
			assert.Equal(t, c.kind, fault.KindOf(err))
			assert.Equal(t, c.reason, fault.As(err).Reason)
			assert.Equal(t, uint64(2), h.hub.Tally().Offered)
		})
	}
}

func TestUnaryCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.Observe(ctx, observeRequest("a"))
		assert.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
		h.pipeline.release()
		assert.Equal(t, session.Tally{Offered: 1, Accepted: 1}, h.hub.Tally(), "its item gets a verdict all the same")
	})
}

func TestUnaryForget(t *testing.T) {
	h := newHarness()
	h.journal.spaces["faces"] = memory.Space{Name: "faces"}
	target := &engramv1.ForgetTarget{MemoryIds: []string{"a", "b"}}
	dry, err := h.Forget(t.Context(), &engramv1.ForgetRequest{Space: "faces", Target: target, DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, uint64(2), dry.GetMatched())
	assert.Zero(t, dry.GetCommitVersion())
	assert.Zero(t, h.hub.Tally().Offered)
	done, err := h.Forget(t.Context(), &engramv1.ForgetRequest{Space: "faces", Target: target})
	require.NoError(t, err)
	assert.Equal(t, uint64(2), done.GetMatched())
	assert.Equal(t, uint64(1), done.GetCommitVersion())

	for name, c := range map[string]struct {
		request *engramv1.ForgetRequest
		kind    fault.Kind
		field   string
	}{
		"nothing named": {&engramv1.ForgetRequest{Space: "faces", Target: &engramv1.ForgetTarget{}}, fault.InvalidArgument, "target"},
		"no time":       {&engramv1.ForgetRequest{Space: "faces", Target: &engramv1.ForgetTarget{ObservedBefore: &timestamppb.Timestamp{Nanos: -1}}}, fault.InvalidArgument, "target.observed_before"},
		"year 1":        {&engramv1.ForgetRequest{Space: "faces", Target: &engramv1.ForgetTarget{MemoryIds: []string{"a"}, ObservedBefore: timestamppb.New(time.Time{})}}, fault.InvalidArgument, "target.observed_before"},
		"filter":        {&engramv1.ForgetRequest{Space: "faces", Target: &engramv1.ForgetTarget{Filter: &engramv1.Filter{}}}, fault.Unimplemented, "target.filter"},
		"no such space": {&engramv1.ForgetRequest{Space: "voices", Target: target}, fault.NotFound, "space"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Forget(t.Context(), c.request)
			assert.Equal(t, c.kind, fault.KindOf(err))
			assert.Equal(t, c.field, fault.As(err).Field)
		})
	}
}

func TestListSpacesPages(t *testing.T) {
	h := newHarness()
	for _, name := range []string{"s00", "s01", "s02"} {
		_, err := h.CreateSpace(t.Context(), &engramv1.CreateSpaceRequest{Space: &engramv1.Space{Name: name, Dimension: 2}})
		require.NoError(t, err)
	}
	first, err := h.ListSpaces(t.Context(), &engramv1.ListSpacesRequest{PageSize: 2})
	require.NoError(t, err)
	require.Len(t, first.GetSpaces(), 2)
	assert.Equal(t, engramv1.Metric_METRIC_COSINE, first.GetSpaces()[0].GetMetric(), "unspecified is cosine")
	second, err := h.ListSpaces(t.Context(), &engramv1.ListSpacesRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	require.NoError(t, err)
	require.Len(t, second.GetSpaces(), 1)
	assert.Equal(t, "s02", second.GetSpaces()[0].GetName())
	assert.Empty(t, second.GetNextPageToken())
}

func TestGetStats(t *testing.T) {
	h := newHarness()
	_, err := h.Observe(t.Context(), observeRequest("a", "b"))
	require.NoError(t, err)
	all, err := h.GetStats(t.Context(), &engramv1.GetStatsRequest{})
	require.NoError(t, err)
	assert.Equal(t, uint64(2), all.GetOffered())
	assert.Equal(t, uint64(4), all.GetQueueDepth())
	assert.Equal(t, uint64(7), all.GetCommitted())
	assert.Equal(t, uint32(2), all.GetSessionsAttached())
	assert.Equal(t, uint64(13), all.GetGraphed())
	assert.Equal(t, &engramv1.IndexStats{
		GraphedVectors: 13, ScannedVectors: 14, BehindVectors: 15, CodesBytes: 16, GraphsBytes: 17, RecordsBytes: 18, IdsBytes: 19, UnloadedBytes: 21,
		MostBehindVectors: 9, GraphedSpaces: 10, ScannedSpaces: 11, DegradedSpaces: 12,
		MergedVectors: 1, Merges: 2, FailedMerges: 3, RemovedVectors: 4, Merging: durationpb.New(5 * time.Second),
		WriterWaits: 6, WritersWaited: durationpb.New(7 * time.Second), RebuiltSpaces: 8, UnloadedSpaces: 20,
	}, all.GetIndex())
	assert.Empty(t, all.GetHeaviestSpaces())
	_, err = h.GetStats(t.Context(), &engramv1.GetStatsRequest{Space: "faces"})
	assert.Equal(t, fault.NotFound, fault.KindOf(err))
	h.journal.spaces["faces"] = memory.Space{Name: "faces"}
	one, err := h.GetStats(t.Context(), &engramv1.GetStatsRequest{Space: "faces"})
	require.NoError(t, err)
	assert.Equal(t, uint64(2), one.GetAccepted())
	assert.Equal(t, uint64(5), one.GetCommitted())
	assert.Equal(t, uint64(13), one.GetGraphed())
	assert.Equal(t, &engramv1.IndexStats{
		GraphedVectors: 13, ScannedVectors: 14, BehindVectors: 15, CodesBytes: 16, GraphsBytes: 17, RecordsBytes: 18, IdsBytes: 19, UnloadedBytes: 21,
	}, one.GetIndex())
}

func TestGetStatsNamesTheHeaviestSpaces(t *testing.T) {
	h := newHarness()
	h.work["busy"] = []graph.KeyLoad{{Node: "journal", Busy: 0.2, Queued: graph.Window{Items: 9}}, {Node: "index", Busy: 0.7}, {Node: "notify", Busy: 0.1}}
	h.work["waiting"] = []graph.KeyLoad{{Node: "journal", Queued: graph.Window{Items: 1}}, {Node: "index", Queued: graph.Window{Items: 5}}}
	h.work["faded"] = []graph.KeyLoad{{Node: "journal", Busy: 1e-9}}
	want := []*engramv1.SpaceLoad{
		{Space: "busy", Queued: 9, Busy: 0.7, BusiestStage: "index"}, {Space: "waiting", Queued: 6, BusiestStage: "index"},
	}
	all, err := h.GetStats(t.Context(), &engramv1.GetStatsRequest{})
	require.NoError(t, err)
	assert.Equal(t, want, all.GetHeaviestSpaces())
	for space, load := range map[string][]*engramv1.SpaceLoad{"busy": want[:1], "faded": nil, "waiting": want[1:]} {
		h.journal.spaces[space] = memory.Space{Name: space}
		one, err := h.GetStats(t.Context(), &engramv1.GetStatsRequest{Space: space})
		require.NoError(t, err)
		assert.Equal(t, load, one.GetHeaviestSpaces())
	}
}

func TestGetStatsCountsWhatWasReceivedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		answered := make(chan error, 1)
		go func() {
			_, err := h.Observe(t.Context(), observeRequest("a"))
			answered <- err
		}()
		synctest.Wait()
		began := time.Now()
		stuck, err := h.GetStats(t.Context(), &engramv1.GetStatsRequest{})
		require.NoError(t, err)
		assert.Equal(t, []uint64{0, 1}, []uint64{stuck.GetOffered(), stuck.GetInFlight()})
		assert.Equal(t, statsPatience, time.Since(began), "it does not wait for ever")

		time.AfterFunc(5*time.Millisecond, h.pipeline.release)
		settled, err := h.GetStats(t.Context(), &engramv1.GetStatsRequest{})
		require.NoError(t, err)
		assert.Equal(t, []uint64{1, 0}, []uint64{settled.GetOffered(), settled.GetInFlight()})
		require.NoError(t, <-answered)
	})
}
