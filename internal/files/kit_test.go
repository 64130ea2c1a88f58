package files

import (
	"errors"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var errKilled = errors.New("killed")

// kill cuts a process off before its n-th operation that changes the disk, from 1; 0: never.
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

func (k *kill) String() string { return "kill" }

// failure is an error of the n-th operation of a kind, from 0.
type failure struct {
	kind  errorfs.OpKind
	n     int
	cause error
	seen  int
}

func (f *failure) MaybeError(op errorfs.Op) error {
	if op.Kind != f.kind {
		return nil
	}
	f.seen++
	if f.seen != f.n+1 {
		return nil
	}
	return f.cause
}

func (f *failure) String() string { return "failure" }

// powerLoss is what a disk keeps of what was not synced: nothing.
func powerLoss(mem *vfs.MemFS) *vfs.MemFS { return afterPowerLoss(mem, 0, 1) }

// afterPowerLoss keeps some percent of it.
func afterPowerLoss(mem *vfs.MemFS, percent int, seed uint64) *vfs.MemFS {
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1))})
}
