package graph

// A pipeline has no more nodes than maxNodes, which read from no more than maxInputs in all. What is wrong with a wiring
// is found by comparing nodes with nodes, and names with names, so that a file of 20,000 nodes kept a check busy for
// minutes. At these limits it takes a second; the largest pipelines have some dozens.
const (
	maxNodes  = 128
	maxInputs = 256
)

// oversize refuses a wiring that is too large to be judged.
func (p *plan) oversize() bool {
	const hint = "is this the right file?"
	if n := len(p.spec.Nodes); n > maxNodes {
		p.report(p.spec.Nodes[maxNodes].Pos, hint, "the pipeline has %d sources, stages and sinks, the most is %d", n, maxNodes)
		return true
	}
	inputs := 0
	var beyond *Position
	for i := range p.spec.Nodes {
		for j := range p.spec.Nodes[i].From {
			if inputs++; inputs == maxInputs+1 {
				beyond = &p.spec.Nodes[i].From[j].Pos
			}
		}
	}
	if beyond == nil {
		return false
	}
	p.report(*beyond, hint, "the nodes of the pipeline read from %d others in all, the most is %d", inputs, maxInputs)
	return true
}

// reading is a name as one node reads from it.
type reading struct {
	reader *planNode
	name   string
}

// nearestOutput returns what a reader seems to mean by a name, or "". What a name means is asked for once with each node
// that nothing reads, so it is found out once.
func (p *plan) nearestOutput(reader *planNode, name string) string {
	key := reading{reader, name}
	near, known := p.meanings[key]
	if !known {
		near = nearest(name, p.outputs(reader))
		p.meanings[key] = near
	}
	return near
}
