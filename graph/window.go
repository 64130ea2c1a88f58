package graph

import "fmt"

// Window is an amount of items and bytes: a limit, where both bind, or what is in use of it.
type Window struct {
	Items int
	Bytes int64
}

// String renders "100 items, 64KiB".
func (w Window) String() string { return fmt.Sprintf("%d items, %s", w.Items, ByteSize(w.Bytes)) }

func (w Window) plus(o Window) Window  { return Window{w.Items + o.Items, w.Bytes + o.Bytes} }
func (w Window) minus(o Window) Window { return Window{w.Items - o.Items, w.Bytes - o.Bytes} }
