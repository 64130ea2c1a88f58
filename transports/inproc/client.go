package inproc

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/transports"
)

// Client makes calls and opens streams. Safe for concurrent use.
type Client struct {
	server *transports.Server
	limit  int // bytes of a message
	ready  func() error
}

// place is how a call takes its place among those at work.
type place func(context.Context) (call context.Context, exit func(), err error)

// call does what every transport does around a unary call: room first, then the size and the rules of the message.
func call[Req, Res proto.Message](ctx context.Context, c *Client, enter place, r Req, serve func(context.Context, Req) (Res, error)) (response Res, err error) {
	if err := c.ready(); err != nil {
		return response, err
	}
	ctx, exit, err := enter(ctx)
	if err != nil {
		return response, err
	}
	defer exit()
	if size := proto.Size(r); size > c.limit {
		return response, transports.TooLarge(int64(size), int64(c.limit))
	}
	if err := transports.Validate(r); err != nil {
		return response, err
	}
	response, err = serve(ctx, r)
	if err != nil {
		return response, told(err)
	}
	return response, nil
}

// told makes an error one that says its kind.
func told(err error) error {
	switch {
	case err == nil || fault.As(err) != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.DeadlineExceeded, err, "the caller's time ran out")
	case errors.Is(err, context.Canceled):
		return fault.Wrap(fault.Canceled, err, "the caller gave up")
	}
	return fault.Wrap(fault.Internal, err, "the server failed on this call")
}

// Observe is MemoryService.Observe.
func (c *Client) Observe(ctx context.Context, r *engramv1.ObserveRequest) (*engramv1.ObserveResponse, error) {
	return call(ctx, c, c.server.EnterCall, r, c.server.Observe)
}

// Recall is MemoryService.Recall.
func (c *Client) Recall(ctx context.Context, r *engramv1.RecallRequest) (*engramv1.RecallResponse, error) {
	return call(ctx, c, c.server.EnterCall, r, c.server.Recall)
}

// Get is MemoryService.Get.
func (c *Client) Get(ctx context.Context, r *engramv1.GetRequest) (*engramv1.GetResponse, error) {
	return call(ctx, c, c.server.EnterCall, r, c.server.Get)
}

// Forget is MemoryService.Forget.
func (c *Client) Forget(ctx context.Context, r *engramv1.ForgetRequest) (*engramv1.ForgetResponse, error) {
	return call(ctx, c, c.server.EnterCall, r, c.server.Forget)
}

// ListMemories is MemoryService.ListMemories.
func (c *Client) ListMemories(ctx context.Context, r *engramv1.ListMemoriesRequest) (*engramv1.ListMemoriesResponse, error) {
	return call(ctx, c, c.server.EnterCall, r, c.server.ListMemories)
}

// CreateSpace is AdminService.CreateSpace.
func (c *Client) CreateSpace(ctx context.Context, r *engramv1.CreateSpaceRequest) (*engramv1.CreateSpaceResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.CreateSpace)
}

// ListSpaces is AdminService.ListSpaces.
func (c *Client) ListSpaces(ctx context.Context, r *engramv1.ListSpacesRequest) (*engramv1.ListSpacesResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.ListSpaces)
}

// DeleteSpace is AdminService.DeleteSpace.
func (c *Client) DeleteSpace(ctx context.Context, r *engramv1.DeleteSpaceRequest) (*engramv1.DeleteSpaceResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.DeleteSpace)
}

// GetStats is AdminService.GetStats.
func (c *Client) GetStats(ctx context.Context, r *engramv1.GetStatsRequest) (*engramv1.GetStatsResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.GetStats)
}

// GetSession is AdminService.GetSession.
func (c *Client) GetSession(ctx context.Context, r *engramv1.GetSessionRequest) (*engramv1.GetSessionResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.GetSession)
}

// ListSessions is AdminService.ListSessions.
func (c *Client) ListSessions(ctx context.Context, r *engramv1.ListSessionsRequest) (*engramv1.ListSessionsResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.ListSessions)
}

// EndSession is AdminService.EndSession.
func (c *Client) EndSession(ctx context.Context, r *engramv1.EndSessionRequest) (*engramv1.EndSessionResponse, error) {
	return call(ctx, c, c.server.EnterAdmin, r, c.server.EndSession)
}
