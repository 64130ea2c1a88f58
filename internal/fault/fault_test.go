package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestEveryKindHasANameAndACode(t *testing.T) {
	names := map[string]Kind{}
	for kind := range Kind(len(kinds)) {
		assert.NotEmpty(t, kind.String(), "kind %d", kind)
		assert.NotContains(t, names, kind.String())
		names[kind.String()] = kind
		assert.True(t, kind.Code() >= 1 && kind.Code() <= 16, "%v has the code %d, which is none of gRPC's", kind, kind.Code())
	}
	assert.Equal(t, "kind(200)", Kind(200).String())
	assert.Equal(t, Unknown.Code(), Kind(200).Code())
}

func TestKindsThatProgramsRelyOn(t *testing.T) {
	codes := map[Kind]uint32{
		InvalidArgument: 3, DeadlineExceeded: 4, NotFound: 5, AlreadyExists: 6, PermissionDenied: 7, ResourceExhausted: 8,
		FailedPrecondition: 9, Aborted: 10, Unimplemented: 12, Internal: 13, Unavailable: 14, StorageUnavailable: 14, Corrupt: 15,
		Unauthenticated: 16,
	}
	for kind, code := range codes {
		assert.Equal(t, code, kind.Code(), kind.String())
	}
}

func TestErrorReadsAsASentence(t *testing.T) {
	full := Wrap(StorageUnavailable, io.ErrShortWrite, "the segment is closed to writes").
		WithOp("append").WithSubject(`space "faces"`).WithField("embedding").WithHint("free space on %s", "/data")
	cases := map[string]struct {
		err  *Error
		want string
	}{
		"everything":      {full, `append: space "faces": embedding: the segment is closed to writes: short write (free space on /data)`},
		"a message":       {New(NotFound, "no session %q", "s1"), `no session "s1"`},
		"only a cause":    {Wrap(Corrupt, io.ErrUnexpectedEOF, ""), "unexpected EOF"},
		"only a kind":     {New(Internal, ""), "internal"},
		"a kind and hint": {New(Internal, "").WithHint("tell us"), "internal (tell us)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { assert.EqualError(t, c.err, c.want) })
	}
}

func TestWhatIsSetIsKept(t *testing.T) {
	err := New(ResourceExhausted, "full").WithReason("BUFFER_FULL").WithRetryAfter(time.Second)
	assert.Equal(t, "BUFFER_FULL", err.Reason)
	assert.Equal(t, time.Second, err.RetryAfter)
}

func TestGaveUpTellsADeadlineFromACancel(t *testing.T) {
	for cause, kind := range map[error]Kind{context.DeadlineExceeded: DeadlineExceeded, context.Canceled: Canceled} {
		err := GaveUp(fmt.Errorf("acquire: %w", cause), "gave up waiting for the disk")
		assert.Equal(t, kind, err.Kind)
		assert.ErrorIs(t, err, cause)
	}
}

func TestErrorsAreFoundInAChain(t *testing.T) {
	inner := Wrap(Corrupt, io.ErrUnexpectedEOF, "checksum")
	outer := fmt.Errorf("open journal: %w", inner)
	assert.Same(t, inner, As(outer))
	assert.Equal(t, Corrupt, KindOf(outer))
	assert.ErrorIs(t, outer, io.ErrUnexpectedEOF)

	over := Wrap(FailedPrecondition, outer, "cannot start")
	assert.Equal(t, FailedPrecondition, KindOf(over), "the outermost counts")
	assert.Nil(t, As(errors.New("plain")))
	assert.Equal(t, Unknown, KindOf(nil))
	assert.Equal(t, Unknown, KindOf(io.EOF))
}

func TestErrorSaysANameOnce(t *testing.T) {
	e := New(NotFound, "space %q does not exist", "faces").WithOp("recall").WithField("space")
	assert.Equal(t, `recall: space "faces" does not exist`, e.Error())
	e = New(Unimplemented, "query.filter is not built yet").WithField("query.filter")
	assert.Equal(t, "query.filter is not built yet", e.Error())
	e = New(InvalidArgument, "spaces differ").WithField("space")
	assert.Equal(t, "space: spaces differ", e.Error())
}
