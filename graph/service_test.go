package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

type greeter interface{ Greet() string }

type polite string

func (p polite) Greet() string { return string(p) }

// exporter is a stage that exports a service.
type exporter struct {
	each[word, word]
	exports []any
}

func (e exporter) Exports() []any { return e.exports }

func TestAStageGetsTheServiceOfAnother(t *testing.T) {
	r := toys(discard)
	var used *graph.Handle[greeter]
	addStage(r, "user", graph.Traits{}, func(d graph.Deps) graph.Stage[word, word] {
		used = graph.Use[greeter](d)
		return each[word, word](pass)
	})
	addStage(r, "provider", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] {
		return exporter{pass, []any{42, polite("good day")}}
	})
	e := start(t, line("charge", "user", "provider"), r, graph.Options{Provide: []any{"of the application"}})
	require.Equal(t, "good day", used.Get().Greet())
	got, err := graph.Service[greeter](e)
	require.NoError(t, err)
	require.Equal(t, "good day", got.Greet())
	number, err := graph.Service[int](e)
	require.NoError(t, err)
	require.Equal(t, 42, number)
	_, err = graph.Service[any](e)
	require.ErrorContains(t, err, "3 providers (provider, provider, application)")
	drain(t, e)
}

func TestAHandleMadeByHand(t *testing.T) {
	require.Equal(t, "hello", graph.NewHandle[greeter](polite("hello")).Get().Greet())
}

func TestAKindIsRegisteredOnce(t *testing.T) {
	r := toys(discard)
	require.PanicsWithValue(t, "graph: kind charge registered twice", func() {
		addStage(r, "charge", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return nil })
	})
	require.Nil(t, r.Lookup(graph.RoleSink, "charge"))
	require.Equal(t, "charge", r.Kinds(graph.RoleStage)[0].Name)
}
