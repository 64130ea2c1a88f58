package files

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

func replace(fs vfs.FS, text string) error {
	return Replace(fs, "folder/file", "test", func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func contents(t *testing.T, fs vfs.FS) string {
	t.Helper()
	file, err := fs.Open("folder/file")
	require.NoError(t, err)
	defer file.Close()
	b, err := io.ReadAll(file)
	require.NoError(t, err)
	return string(b)
}

// TestAFileIsReplacedWholeOrNotAtAll: a process is killed at each operation, and then the power fails, or not; what Replace
// said is done is done.
func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	for n := range 40 {
		mem := vfs.NewCrashableMem()
		require.NoError(t, MakeFolder(mem, "folder", 0o700))
		require.NoError(t, replace(mem, "before"))
		err := replace(errorfs.Wrap(mem, &kill{n: n}), "after, which is longer")
		want := []string{"before", "after, which is longer"}
		if err == nil {
			want = want[1:]
		}
		require.Contains(t, want, contents(t, mem), "killed at %d", n)
		for percent := range 4 {
			require.Contains(t, want, contents(t, afterPowerLoss(mem, percent*33, uint64(n))), "killed at %d", n)
		}
		if n > 0 && err == nil {
			return
		}
	}
	t.Fatal("it was never done")
}

// TestAFailedReplacementLeavesNothing: neither when writing fails, nor when its writer does.
func TestAFailedReplacementLeavesNothing(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, MakeFolder(mem, "folder", 0o700))
	require.NoError(t, replace(mem, "before"))
	cause := errors.New("cause")
	require.ErrorIs(t, Replace(mem, "folder/file", "test", func(io.Writer) error { return cause }), cause)
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSyncData, errorfs.OpRename} {
		require.ErrorIs(t, replace(errorfs.Wrap(mem, &failure{kind: kind, cause: cause}), "after"), cause, kind)
	}
	require.Equal(t, "before", contents(t, mem))
	names, err := mem.List("folder")
	require.NoError(t, err)
	require.Equal(t, []string{"file"}, names)
}

func checked(t *testing.T, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewCheckedWriter(&b)
	for _, p := range parts {
		n, err := w.Write(p)
		require.NoError(t, err)
		require.Equal(t, len(p), n)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestCheckedBytesComeBack(t *testing.T) {
	large := bytes.Repeat([]byte("engram"), frameBytes/2)
	for _, parts := range [][][]byte{nil, {[]byte("a")}, {large[:frameBytes]}, {large[:frameBytes-1], large[:1], large[:2]}, {large, large}} {
		got, err := io.ReadAll(NewCheckedReader(bytes.NewReader(checked(t, parts...))))
		require.NoError(t, err)
		require.True(t, bytes.Equal(bytes.Join(parts, nil), got))
	}
}

// TestAnyDamageIsFound: a byte that is changed, missing or added, and frames that change places.
func TestAnyDamageIsFound(t *testing.T) {
	whole := checked(t, []byte("what was written"))
	damaged := func(b []byte, what string, i int) {
		t.Helper()
		got, err := io.ReadAll(NewCheckedReader(bytes.NewReader(b)))
		require.ErrorIs(t, err, ErrDamaged, "%s at %d gave %q", what, i, got)
	}
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			damaged(b, "a flipped bit", i)
		}
		damaged(whole[:i], "an end", i)
	}
	damaged(append(bytes.Clone(whole), 0), "a byte more", len(whole))

	two := checked(t, bytes.Repeat([]byte{1}, frameBytes), bytes.Repeat([]byte{2}, frameBytes))
	size := frameHead + frameBytes
	damaged(append(append(bytes.Clone(two[size:2*size]), two[:size]...), two[2*size:]...), "the second frame", 0)
}

// TestAFailingReaderIsNotDamage: what the disk says is told as it is.
func TestAFailingReaderIsNotDamage(t *testing.T) {
	cause := errors.New("cause")
	_, err := io.ReadAll(NewCheckedReader(io.MultiReader(bytes.NewReader(checked(t, []byte("a"))[:9]), failing{cause})))
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, ErrDamaged)
}

type failing struct{ cause error }

func (f failing) Read([]byte) (int, error) { return 0, f.cause }
