package sequence

import "github.com/engram-stream/engram/internal/session"

// run is a stretch of a batch: adjacent ops of one attachment under contiguous numbers.
type run struct {
	from  *session.Attachment
	first uint64 // the number of its first op
	start int    // its first op in the batch
	count int
}

func (r run) end() int { return r.start + r.count }

// runs cuts a batch into its runs. A wire message is one.
func runs(ops []session.Op) []run {
	var all []run
	for i := range ops {
		if n := len(all); n > 0 && all[n-1].follows(&ops[i]) {
			all[n-1].count++
			continue
		}
		all = append(all, run{from: ops[i].From, first: ops[i].Sequence, start: i, count: 1})
	}
	return all
}

func (r run) follows(op *session.Op) bool {
	return op.From == r.from && op.Sequence == r.first+uint64(r.count)
}
