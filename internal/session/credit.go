package session

// The sizes of a client's window: how far ahead of what is accepted it may send.
const (
	MinCreditItems   = 16       // always granted, so that no client waits for another one's credit
	FirstCreditItems = 256      // the most that a client begins with
	MaxCreditItems   = 16 << 10 // the most that use lets it grow to
	MinCreditBytes   = 2 << 20  // room for the largest observation
	MaxCreditBytes   = 64 << 20
)

// Supply is what credit is cut from.
type Supply struct {
	FreeItems int   // of the process's budget
	FreeBytes int64 // of the process's budget
	Sessions  int   // attached sessions that share it
	Pressure  Pressure
}

// Granter decides how much credit one client gets, and when. The window is the client's share of what is free, under
// a ceiling that doubles each time the client has used half of what it had. Limits only grow; what is granted once is
// never taken back, as the admission turns away what does not fit. Not safe for concurrent use.
type Granter struct {
	granted      Credit
	ceilingItems uint64
	windowItems  uint64 // of the last grant
	windowBytes  uint64 // of the last grant
}

// NewGranter returns the granter of a new epoch.
func NewGranter() *Granter { return &Granter{ceilingItems: FirstCreditItems} }

// First returns the credit to begin with, for a session settled up to committed.
func (g *Granter) First(committed uint64, s Supply) Credit { return g.grant(committed, 0, s) }

// Next returns the credit to grant now, if any is due: when half of the last window is used, or when the state of
// pressure has changed. accepted is the highest number taken so far and bytes the payload received in this epoch,
// refused items included. Call it after each frame received, and every few hundred milliseconds to pass changes of
// the state on to a client that is silent.
func (g *Granter) Next(accepted, bytes uint64, s Supply) (Credit, bool) {
	used := left(g.granted.SequenceLimit, accepted) <= g.windowItems/2 || left(g.granted.ByteLimit, bytes) <= g.windowBytes/2
	if !used && s.Pressure.State == g.granted.State {
		return Credit{}, false
	}
	if used && s.Pressure.State == CreditOK {
		g.ceilingItems = min(2*g.ceilingItems, MaxCreditItems)
	}
	return g.grant(accepted, bytes, s), true
}

func (g *Granter) grant(accepted, bytes uint64, s Supply) Credit {
	share := uint64(2 * max(s.Sessions, 1))
	g.windowItems = clamp(uint64(max(s.FreeItems, 0))/share, MinCreditItems, g.ceilingItems)
	g.windowBytes = clamp(uint64(max(s.FreeBytes, 0))/share, MinCreditBytes, MaxCreditBytes)
	g.granted = Credit{
		SequenceLimit: max(g.granted.SequenceLimit, accepted+g.windowItems),
		ByteLimit:     max(g.granted.ByteLimit, bytes+g.windowBytes),
		State:         s.Pressure.State,
		Fill:          s.Pressure.Fill,
		Retry:         s.Pressure.Retry,
		Stage:         s.Pressure.Stage,
	}
	return g.granted
}

func left(limit, used uint64) uint64 { return limit - min(limit, used) }

func clamp(n, low, high uint64) uint64 { return max(low, min(n, high)) }
