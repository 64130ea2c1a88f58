package graph

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
)

// bindServices gives each stage the services that it asked for with Use, and returns all that there are.
func (p *plan) bindServices() []service {
	services := p.services()
	told := make(map[reflect.Type]bool)
	for _, need := range p.needs.wanted {
		var providers []string
		for _, s := range services {
			// What stands where it should not has been reported: it is no provider besides another.
			if need.bind(s.value) && (len(providers) == 0 || !p.misplaced(s.provider)) {
				providers = append(providers, s.provider)
			}
		}
		if len(providers) == 1 || told[need.iface] {
			continue
		}
		told[need.iface] = true
		hint := "keep one of them"
		if len(providers) == 0 {
			kinds := p.exporters(need)
			if p.partial || slices.ContainsFunc(kinds, func(k string) bool { return p.suggested[k] }) {
				continue
			}
			hint = hintExporters(kinds)
		}
		p.report(p.byName[need.node].Pos, hint, "%q needs %s, but the pipeline has %s of it", need.node, typeName(need.iface), countOf(providers))
	}
	return services
}

func (p *plan) misplaced(name string) bool {
	n := p.byName[name]
	return n != nil && (p.misread[n] || p.extra[n])
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

// exporters names the kinds of stage that export what is needed, found by building one of each: building is pure.
func (p *plan) exporters(need need) []string {
	var names []string
	for _, k := range p.registry.Kinds(RoleStage) {
		built, err := k.build(k.NewConfig(), Deps{Name: k.Name, Budget: p.budget, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			continue
		}
		if exporter, ok := built.subject().(Exporter); ok && slices.ContainsFunc(exporter.Exports(), need.bind) {
			names = append(names, k.Name)
		}
	}
	return names
}

func hintExporters(kinds []string) string {
	if len(kinds) == 0 {
		return "no kind of stage exports it"
	}
	named := make([]string, len(kinds))
	for i, k := range kinds {
		named[i] = withArticle(k)
	}
	return "add " + strings.Join(named, " or ") + " stage"
}
