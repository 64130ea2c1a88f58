package client

import (
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func seconds(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }
