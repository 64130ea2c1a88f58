package session

import "time"

// Pressure is a reading of how full the process is.
type Pressure struct {
	State          CreditState
	Fill           float64 // of items or bytes, whichever is fuller, 0 to 1
	Items          int     // in memory now
	ItemLimit      int
	Bytes          int64 // in memory now
	ByteLimit      int64
	DrainPerSecond float64       // items that leave memory
	Retry          time.Duration // how long a client does well to wait; 0 in CreditOK
	Stage          string        // the stage that says so, by its name in the pipeline
}

// Thresholds says at which fill, 0 to 1, each state of pressure begins. A state is left Relief lower than it began,
// so that it does not flicker.
type Thresholds struct {
	SlowDownAt float64
	RejectAt   float64 // above SlowDownAt
}

// Relief is how much the fill must fall below a threshold before its state is left.
const Relief = 0.10

// Next returns the state that follows state at a fill. Any state may follow any other.
func (t Thresholds) Next(state CreditState, fill float64) CreditState {
	if fill >= t.at(CreditBufferFull, state) {
		return CreditBufferFull
	}
	if fill >= t.at(CreditSlowDown, state) {
		return CreditSlowDown
	}
	return CreditOK
}

// at is the fill at which next begins, or goes on, when state is where we are.
func (t Thresholds) at(next, state CreditState) float64 {
	at := t.SlowDownAt
	if next == CreditBufferFull {
		at = t.RejectAt
	}
	if state >= next {
		at -= Relief
	}
	return at
}
