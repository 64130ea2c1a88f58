package conformance

import (
	"context"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Observe implements transporttest.Server.
func (s *remoteServer) Observe(ctx context.Context, r *engramv1.ObserveRequest) (*engramv1.ObserveResponse, error) {
	return unary(ctx, r, s.memory.Observe)
}

// Recall implements transporttest.Server.
func (s *remoteServer) Recall(ctx context.Context, r *engramv1.RecallRequest) (*engramv1.RecallResponse, error) {
	return unary(ctx, r, s.memory.Recall)
}

// Get implements transporttest.Server.
func (s *remoteServer) Get(ctx context.Context, r *engramv1.GetRequest) (*engramv1.GetResponse, error) {
	return unary(ctx, r, s.memory.Get)
}

// Forget implements transporttest.Server.
func (s *remoteServer) Forget(ctx context.Context, r *engramv1.ForgetRequest) (*engramv1.ForgetResponse, error) {
	return unary(ctx, r, s.memory.Forget)
}

// ListMemories implements transporttest.Server.
func (s *remoteServer) ListMemories(ctx context.Context, r *engramv1.ListMemoriesRequest) (*engramv1.ListMemoriesResponse, error) {
	return unary(ctx, r, s.memory.ListMemories)
}

// CreateSpace implements transporttest.Server.
func (s *remoteServer) CreateSpace(ctx context.Context, r *engramv1.CreateSpaceRequest) (*engramv1.CreateSpaceResponse, error) {
	return unary(ctx, r, s.admin.CreateSpace)
}

// ListSpaces implements transporttest.Server.
func (s *remoteServer) ListSpaces(ctx context.Context, r *engramv1.ListSpacesRequest) (*engramv1.ListSpacesResponse, error) {
	return unary(ctx, r, s.admin.ListSpaces)
}

// DeleteSpace implements transporttest.Server.
func (s *remoteServer) DeleteSpace(ctx context.Context, r *engramv1.DeleteSpaceRequest) (*engramv1.DeleteSpaceResponse, error) {
	return unary(ctx, r, s.admin.DeleteSpace)
}

// GetStats implements transporttest.Server.
func (s *remoteServer) GetStats(ctx context.Context, r *engramv1.GetStatsRequest) (*engramv1.GetStatsResponse, error) {
	return unary(ctx, r, s.admin.GetStats)
}

// GetSession implements transporttest.Server.
func (s *remoteServer) GetSession(ctx context.Context, r *engramv1.GetSessionRequest) (*engramv1.GetSessionResponse, error) {
	return unary(ctx, r, s.admin.GetSession)
}

// ListSessions implements transporttest.Server.
func (s *remoteServer) ListSessions(ctx context.Context, r *engramv1.ListSessionsRequest) (*engramv1.ListSessionsResponse, error) {
	return unary(ctx, r, s.admin.ListSessions)
}

// EndSession implements transporttest.Server.
func (s *remoteServer) EndSession(ctx context.Context, r *engramv1.EndSessionRequest) (*engramv1.EndSessionResponse, error) {
	return unary(ctx, r, s.admin.EndSession)
}
