package log

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

var errKilled = errors.New("killed")

// kill cuts a process off before its n-th operation that changes the disk, from 1; 0: never. What it did before stays in
// the page cache for the process after it.
type kill struct {
	n    int
	seen int
}

func (k *kill) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	k.seen++
	if k.n > 0 && k.seen >= k.n {
		return errKilled
	}
	return nil
}

func (k *kill) String() string { return fmt.Sprint("killed at ", k.n) }

// life opens the log, appends until it is killed or through, and returns the items that were acked. A segment takes four.
func life(t *testing.T, mem vfs.FS, disk errorfs.Injector, name string, appends int) (acked []string) {
	o := testOptions(errorfs.Wrap(mem, disk))
	o.Salt = randomSalt // no two lives share one
	l, _, err := Open(o, func(Entry) error { return nil })
	if err != nil {
		require.ErrorIs(t, err, errKilled, "%s, %v", name, disk)
		return nil
	}
	for i := range appends {
		s := fmt.Sprintf("%s %d %s", name, i, strings.Repeat("x", 1000))
		err := attempt(l, s)
		if errors.Is(err, errKilled) {
			break
		}
		if err == nil {
			acked = append(acked, s)
		}
	}
	require.NoError(t, l.Close())
	return acked
}

// A process is killed at each of its operations, and so is the one after it, which finds the first one's page cache; then
// the power fails, with none, some or all of what was not synced on disk. What either had acked is there, in order; what
// had not been acked is there once or not at all.
func TestKillThenKillThenPowerLoss(t *testing.T) {
	const first, second = 5, 2 // appends: the first life rolls its segment
	whole, next := &kill{}, &kill{}
	mem := vfs.NewMem()
	life(t, mem, whole, "first", first)
	life(t, mem, next, "second", second)
	for k := range whole.seen + 2 { // 0 and the last one: it closes in order
		for j := range next.seen + 1 {
			mem := vfs.NewCrashableMem()
			acked := life(t, mem, &kill{n: k}, "first", first)
			acked = append(acked, life(t, mem, &kill{n: j}, "second", second)...)
			for _, percent := range []int{0, 50, 100} {
				found, _ := holds(t, testOptions(mem.CrashClone(crashConfig(percent, uint64(k*100+j)))))
				requireWithin(t, acked, found, fmt.Sprintf("killed at %d, then at %d, %d %% on disk", k, j, percent))
			}
		}
	}
}

// requireWithin checks that all of want is in found, in order, and that nothing is there twice.
func requireWithin(t *testing.T, want, found []string, where string) {
	t.Helper()
	seen := map[string]bool{}
	for _, s := range found {
		require.False(t, seen[s], "doubled: "+where)
		seen[s] = true
		if len(want) > 0 && s == want[0] {
			want = want[1:]
		}
	}
	require.Empty(t, want, "lost: "+where)
}
