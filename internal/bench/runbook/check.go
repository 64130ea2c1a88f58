package runbook

// Check walks through the steps without an index, for a data set of so many rows: what is inserted must not be alive, and what
// is deleted or replaced must be.
func (b *Runbook) Check(rows int) error {
	r := &reader{file: b.File}
	alive := make([]bool, rows)
	count := 0
	for _, s := range b.Steps {
		if s.Operation == Search {
			continue
		}
		if last := max(s.Tags.End, s.IDs.End); last > rows {
			return r.fault(s.Line, "step %d ends at %d, and the data set has %d vectors", s.Number, last, rows)
		}
		for tag := s.Tags.Start; tag < s.Tags.End; tag++ {
			switch {
			case s.Operation == Insert && alive[tag]:
				return r.fault(s.Line, "step %d inserts %d, which is there", s.Number, tag)
			case s.Operation != Insert && !alive[tag]:
				return r.fault(s.Line, "step %d: to %s %d it would have to be there", s.Number, s.Operation, tag)
			}
			alive[tag] = s.Operation != Delete
		}
		switch s.Operation {
		case Insert:
			count += s.Tags.Len()
		case Delete:
			count -= s.Tags.Len()
		}
		if b.MaxPoints > 0 && count > b.MaxPoints {
			return r.fault(s.Line, "after step %d there are %d, more than the %d of max_pts", s.Number, count, b.MaxPoints)
		}
	}
	return nil
}
