package graph

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// checkWorkers refuses workers where they would break the order that something relies on.
func (p *plan) checkWorkers() {
	for _, n := range p.nodes {
		if n.Workers == 0 || n.Workers == 1 || n.kind == nil {
			continue
		}
		switch {
		case n.Workers < 0:
			p.report(n.WorkersPos, "give 1 or more", "%q has %d workers", n.Name, n.Workers)
		case n.Role == RoleSource:
			p.report(n.WorkersPos, "remove it", "source %q cannot have workers: it runs on its callers' goroutines", n.Name)
		case !n.kind.Doc.Traits.Parallel:
			p.report(n.WorkersPos, "remove it, or partition by a key upstream", "%q cannot have %d workers: %s is run by one goroutine a lane", n.Name, n.Workers, withArticle(n.Kind))
		case n.built != nil && n.built.holds():
			p.report(n.WorkersPos, "remove it", "%q cannot have %d workers: it holds items back between calls", n.Name, n.Workers)
		case !p.early[n]:
			p.checkOrder(n)
		}
	}
}

// checkOrder refuses several workers before anything that relies on order.
func (p *plan) checkOrder(n *planNode) {
	for _, m := range n.way() {
		if m.kind != nil && m.kind.Doc.Traits.Ordered {
			p.report(n.WorkersPos, fmt.Sprintf("remove it from %q, or put %q before it", n.Name, m.Name),
				"%d workers of %q would pass items out of order to %q, which relies on their order", n.Workers, n.Name, m.Name)
			return
		}
	}
}

// way lists what an item passes from n on, n included, up to the end or to where a cycle closes.
func (n *planNode) way() []*planNode {
	way := []*planNode{n}
	for len(n.down) > 0 && !slices.Contains(way, n.down[0]) {
		n = n.down[0]
		way = append(way, n)
	}
	return way
}

// checkCharges refuses a way from a source to a sink on which the budget is charged never or twice. Each source has
// one way, since an output has one reader.
func (p *plan) checkCharges() {
	for _, source := range p.order {
		if source.Role != RoleSource {
			continue
		}
		way := source.way()
		var charging *planNode
		for _, n := range way {
			switch {
			case n.kind == nil || !n.kind.Doc.Traits.Charges:
			case charging == nil:
				charging = n
			case !p.extra[n]:
				p.extra[n] = true
				p.report(n.Pos, fmt.Sprintf("remove %q or %q", charging.Name, n.Name),
					"%q charges the budget for what %q has charged already", n.Name, charging.Name)
			}
		}
		if charging != nil {
			p.checkUncharged(way, charging)
		}
		last := way[len(way)-1]
		unknown := slices.ContainsFunc(way, func(n *planNode) bool { return n.kind == nil })
		misread := slices.ContainsFunc(way, func(n *planNode) bool { return p.misread[n] })
		if charging == nil && last.Role == RoleSink && !unknown && !misread {
			p.report(source.Pos, p.hintCharge(), "nothing between %q and %q charges the budget, so memory has no bound", source.Name, last.Name)
		}
	}
}

// checkUncharged refuses a queue on the way from a source to the node that charges the budget, that node included.
// Credit is granted and refusals are told while an offer runs, so what waits before it is charged hangs its stream,
// and nothing counts it.
func (p *plan) checkUncharged(way []*planNode, charging *planNode) {
	for _, n := range way[:slices.Index(way, charging)+1] {
		if n.Role == RoleSource || n.kind == nil || p.early[n] {
			continue
		}
		if pos, queue, hint := n.queue(charging); queue != "" {
			p.early[n] = true
			p.report(pos, hint, "%q %s before %q charges the budget for them: nothing counts them there", n.Name, queue, charging.Name)
		}
	}
}

// queue says how a node makes items wait, and what to do about it when it stands before the node that charges them.
// It is empty for one that runs fused, and for workers that its kind cannot have anyway.
func (n *planNode) queue(charging *planNode) (pos Position, queue, hint string) {
	behind := fmt.Sprintf("behind %q", charging.Name)
	switch {
	case !n.fusable() && n == charging:
		return n.Pos, "makes items wait", "a kind that charges must run fused"
	case !n.fusable():
		return n.Pos, "makes items wait", "put it " + behind
	case n.Edge != nil:
		return n.Edge.Pos, "has an edge, on which items wait", "remove it: edges stand " + behind
	case n.Workers > 1 && n.kind.Doc.Traits.Parallel:
		return n.WorkersPos, "has workers, for which items wait", "remove it: workers stand " + behind
	}
	return Position{}, "", ""
}

func (p *plan) hintCharge() string {
	var names []string
	for _, role := range []Role{RoleStage, RoleSource} {
		for _, k := range p.registry.Kinds(role) {
			if k.Doc.Traits.Charges {
				p.suggested[k.Name] = true
				names = append(names, withArticle(k.Name))
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("put %s between them", strings.Join(names, " or "))
}

// batchBound is the largest batch that comes out of a node, with the nodes that set it. A dimension of 0 is not
// bounded by anything but the budget.
type batchBound struct {
	Window
	items, bytes *planNode
}

// unknown is the bound behind a node that could not be made: it fits every window, so that nothing is reported that
// only follows from that node.
func unknown() batchBound { return batchBound{Window: Window{Items: -1, Bytes: -1}} }

// checkLiveness refuses windows and lanes with which the graph could not run or could stop for good.
func (p *plan) checkLiveness() {
	if p.spec.Budget.Items <= 0 || p.spec.Budget.Bytes <= 0 {
		p.report(p.spec.BudgetPos, "give at least 1 item and 1 byte", "the budget is %s", p.spec.Budget)
		return
	}
	p.checkHolders(p.measure())
}

// measure finds the lanes and the largest batches of the nodes, checks the windows against them, and returns what holds
// items back.
func (p *plan) measure() []*planNode {
	for _, n := range p.nodes {
		n.batch = unknown()
	}
	holders := make([]*planNode, 0, len(p.order))
	for _, n := range p.order {
		// What follows a node that could not be judged cannot be judged either, nor what reads from who knows where.
		known := n.Role == RoleSource || len(n.up) > 0 && len(n.up) == len(n.From)
		n.judged = known && !p.tangled[n] && n.built != nil && !slices.ContainsFunc(n.up, func(up *planNode) bool { return !up.judged })
		whole := n.judged && p.checkLanes(n)
		p.checkSizes(n)
		if !whole {
			continue
		}
		if b := n.bounds(); n.Role != RoleSource && (b.HoldItems > 0 || b.HoldBytes > 0) {
			holders = append(holders, n)
		}
	}
	return holders
}

// checkSizes checks the window of a node against what is known to come in, and finds what may come out. Behind a node
// that could not be judged, that is what the last node on the way says which sets the size of its batches itself.
func (p *plan) checkSizes(n *planNode) {
	if n.built == nil {
		return
	}
	in := p.input(n)
	p.checkWindow(n, in)
	n.batch = p.output(n, in)
}

func (n *planNode) bounds() Bounds {
	if b, ok := n.built.subject().(Bounder); ok {
		return b.Bounds()
	}
	return Bounds{}
}

// checkLanes finds the number of lanes of a node's input, which all its upstreams must agree on, and
// whether it has lanes for its output.
func (p *plan) checkLanes(n *planNode) bool {
	for i, up := range n.up {
		lanes := up.outLanes()
		if i == 0 {
			n.lanes = lanes
		} else if lanes != n.lanes {
			p.report(n.fromPos(up), "let both come from the same partitioning stage", "%q joins %d lanes of %q with %d of %q", n.Name, n.lanes, n.up[0].Name, lanes, up.Name)
		}
	}
	if part, ok := n.built.subject().(Partitioner); n.partitions() && (!ok || part.Lanes() < 1) {
		p.report(n.Pos, "give it at least one", "%q has no lanes to split into", n.Name)
		n.judged = false
	}
	return n.judged
}

// input is the largest batch that comes into a node, less what comes by an edge that closes a cycle: it has to go.
func (p *plan) input(n *planNode) batchBound {
	in, none := unknown(), true
	for _, up := range n.up {
		if p.cyclic[edgeOf{up, n}] {
			continue
		}
		if none {
			in, none = up.batch, false
			continue
		}
		if up.batch.Items == 0 || in.Items != 0 && up.batch.Items > in.Items {
			in.Items, in.items = up.batch.Items, up.batch.items
		}
		if up.batch.Bytes == 0 || in.Bytes != 0 && up.batch.Bytes > in.Bytes {
			in.Bytes, in.bytes = up.batch.Bytes, up.batch.bytes
		}
	}
	return in
}

// output is the largest batch that comes out of a node, given the largest that comes in.
func (p *plan) output(n *planNode, in batchBound) batchBound {
	b, holds := n.bounds(), n.built.holds()
	if n.Role == RoleSource {
		in = batchBound{Window: n.Offers, items: n, bytes: n}
		p.checkOffer(n, &b)
	}
	out := in
	switch {
	case b.BatchItems > 0:
		out.Items, out.items = b.BatchItems, n
	case holds && in.Items > 0:
		out.Items, out.items = in.Items+b.HoldItems, n
	}
	switch {
	case b.BatchBytes > 0:
		out.Bytes, out.bytes = b.BatchBytes, n
	case holds && in.Bytes > 0:
		out.Bytes, out.bytes = in.Bytes+b.HoldBytes, n
	}
	out.Items = min(out.Items, p.largest.Items)
	out.Bytes = min(out.Bytes, p.largest.Bytes)
	return out
}

// checkOffer takes what the pipeline says of a source's offers over what the source says of itself, and refuses
// offers that the budget can never hold.
func (p *plan) checkOffer(n *planNode, b *Bounds) {
	if n.Offers.Items > 0 {
		b.BatchItems = n.Offers.Items
	}
	if n.Offers.Bytes > 0 {
		b.BatchBytes = n.Offers.Bytes
	}
	offers, budget := Window{Items: b.BatchItems, Bytes: b.BatchBytes}, p.spec.Budget
	if offers.Items > budget.Items || offers.Bytes > budget.Bytes {
		p.report(cmp.Or(n.OffersPos, p.spec.BudgetPos), "raise the budget, or lower the largest message", "the budget is %s, but %q may offer %s at once", budget, n.Name, offers)
	}
}

// checkWindow refuses a window that the largest batch does not fit: it would never be taken.
func (p *plan) checkWindow(n *planNode, in batchBound) {
	if n.Edge == nil || p.early[n] {
		return
	}
	if n.Role == RoleSource {
		p.report(n.Edge.Pos, "remove it", "source %q cannot have an edge: it has no input", n.Name)
		return
	}
	w := n.Edge.Window
	if w.Items <= 0 || w.Bytes <= 0 {
		p.report(n.Edge.Pos, "give at least 1 item and 1 byte", "the edge into %q has a window of %s: nothing fits it", n.Name, w)
		return
	}
	budget := p.spec.Budget
	if need := orBudget(in.Items, budget.Items); w.Items < need {
		p.report(n.Edge.Pos, fmt.Sprintf("set items to %d or more, or let %s send smaller batches", need, nameOf(in.items)),
			"the edge into %q has a window of %d items, but a batch of %d may come%s: it would never fit", n.Name, w.Items, need, because(in.Items, in.items))
	}
	if need := orBudget(in.Bytes, budget.Bytes); w.Bytes < need {
		p.report(n.Edge.Pos, fmt.Sprintf("set bytes to %s or more, or let %s send smaller batches", ByteSize(need), nameOf(in.bytes)),
			"the edge into %q has a window of %s, but a batch of %s may come%s: it would never fit", n.Name, ByteSize(w.Bytes), ByteSize(need), because(in.Bytes, in.bytes))
	}
}

func orBudget[N int | int64](bound, budget N) N {
	if bound == 0 {
		return budget
	}
	return bound
}

func nameOf(n *planNode) string {
	if n == nil {
		return "its source"
	}
	return fmt.Sprintf("%q", n.Name)
}

func because[N int | int64](bound N, by *planNode) string {
	if bound == 0 {
		return fmt.Sprintf(" (%s has no bound but the budget)", nameOf(by))
	}
	return " from " + nameOf(by)
}

// checkHolders refuses holders that could keep the whole budget to themselves: then no item could come that makes
// them let go.
func (p *plan) checkHolders(holders []*planNode) {
	sum, budget := p.held(holders), p.spec.Budget
	if sum.Items > budget.Items {
		p.report(holders[0].Pos, p.hintBudget("items", sum, func(w Window) string { return strconv.Itoa(w.Items) }),
			"the pipeline could stop for good: %s = %d items, but the budget is %d items",
			p.sumOf(holders, func(w Window) string { return strconv.Itoa(w.Items) }), sum.Items, budget.Items)
	}
	if sum.Bytes > budget.Bytes {
		p.report(holders[0].Pos, p.hintBudget("bytes", sum, func(w Window) string { return ByteSize(w.Bytes).String() }),
			"the pipeline could stop for good: %s = %s, but the budget is %s",
			p.sumOf(holders, func(w Window) string { return ByteSize(w.Bytes).String() }), ByteSize(sum.Bytes), ByteSize(budget.Bytes))
	}
}

// held is the most that holders keep, and have in hand, at once.
func (p *plan) held(holders []*planNode) (sum Window) {
	for _, n := range holders {
		b, in := n.bounds(), p.input(n)
		sum = sum.plus(Window{Items: n.lanes * (b.HoldItems + in.Items), Bytes: int64(n.lanes) * (b.HoldBytes + in.Bytes)})
	}
	return sum
}

// sumOf shows what held adds up.
func (p *plan) sumOf(holders []*planNode, show func(Window) string) string {
	parts := make([]string, len(holders))
	for i, n := range holders {
		b := n.bounds()
		parts[i] = fmt.Sprintf("%q holds %s + %s in hand", n.Name, show(Window{Items: b.HoldItems, Bytes: b.HoldBytes}), show(p.input(n).Window))
		if n.lanes > 1 {
			parts[i] += fmt.Sprintf(" on each of %d lanes", n.lanes)
		}
	}
	return strings.Join(parts, " + ")
}

// maxRaises bounds the search for a budget that is enough: a kind that holds more than its budget has none.
const maxRaises = 32

// hintBudget says how far to raise the budget. Once it is raised, larger batches may come, and kinds that hold a part
// of it hold more: the pipeline is measured again with each budget until one is enough.
func (p *plan) hintBudget(dimension string, sum Window, show func(Window) string) string {
	spec := *p.spec
	for range maxRaises {
		spec.Budget = Window{Items: max(sum.Items, spec.Budget.Items), Bytes: wholeMiB(max(sum.Bytes, spec.Budget.Bytes))}
		raised := newPlan(&spec, p.registry, p.options)
		raised.largest = Window{Items: math.MaxInt, Bytes: math.MaxInt64}
		raised.wire()
		sum = raised.held(raised.measure())
		if sum.Items <= spec.Budget.Items && sum.Bytes <= spec.Budget.Bytes {
			return fmt.Sprintf("raise budget.%s to %s or more, or let it hold less", dimension, show(spec.Budget))
		}
	}
	return "let it hold less"
}

// wholeMiB rounds a size up to one that is easy to write, unless it is small.
func wholeMiB(bytes int64) int64 {
	const mib = 1 << 20
	if bytes < mib {
		return bytes
	}
	return (bytes + mib - 1) / mib * mib
}
