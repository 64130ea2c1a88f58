package graph

// bindServices gives each stage the services that it asked for with Use, and returns all that there are.
func (p *plan) bindServices() []service {
	services := p.services()
	for _, need := range p.needs.wanted {
		var providers []string
		for _, s := range services {
			if need.bind(s.value) {
				providers = append(providers, s.provider)
			}
		}
		if len(providers) == 1 || len(providers) == 0 && p.partial {
			continue
		}
		hint := "keep one of them"
		if len(providers) == 0 {
			hint = "add the stage that exports it"
		}
		p.report(p.byName[need.node].Pos, hint, "%q needs %s, but the pipeline has %s of it", need.node, typeName(need.iface), countOf(providers))
	}
	return services
}

func (p *plan) services() []service {
	var out []service
	for _, n := range p.nodes {
		if n.built == nil {
			continue
		}
		if exporter, ok := n.built.subject().(Exporter); ok {
			for _, value := range exporter.Exports() {
				out = append(out, service{provider: n.Name, value: value})
			}
		}
	}
	for _, value := range p.options.Provide {
		out = append(out, service{provider: "application", value: value})
	}
	return out
}
