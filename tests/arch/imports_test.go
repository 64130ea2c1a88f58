package arch

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func ours(folders ...string) []string {
	var paths []string
	for _, f := range folders {
		paths = append(paths, Module+"/"+f)
	}
	return paths
}

// Each row is an import that the real table must refuse, and words that the complaint must hold.
func TestTheTableRefuses(t *testing.T) {
	const direct, test, deep = "imports", "tests import", "reaches"
	tests := []struct{ folder, how, target, want string }{
		{"stages/admit", direct, "stages/sequence", "a stage knows the contract and the domain"},
		{"stages/notify", direct, "transports", "never another stage, a transport or the configuration"},
		{"stages/notify", direct, "config", "never another stage, a transport or the configuration"},
		{"stages/notify", direct, "graph/graphtest", "stages/notify imports graph/graphtest"},
		{"stages/notify", direct, "internal/telemetry", "stages/notify imports internal/telemetry"},
		{"stages/shard", test, "stages/admit", "stages/shard (test) imports stages/admit"},
		{"stages/decode", deep, "proto/gen/engram/v1", "stages speak the domain's words"},
		{"stages/index/fresh", direct, "internal/memory", "the index's cores know vectors and ordinals only"},
		{"graph", direct, "internal/memory", "the engine moves batches"},
		{"graph/graphtest", deep, "config", "the engine must stay generic"},
		{"transports/rpc", direct, "stages/index", "a transport turns frames into session items"},
		{"transports/rpc", direct, "internal/simd", "transports/rpc imports internal/simd"},
		{"transports", direct, "internal/app", "transports imports internal/app"},
		{"client", direct, "internal/session", "shares no code with the server"},
		{"client", deep, "internal/fault", "what it drags in becomes theirs"},
		{"config", direct, "stages", "kinds arrive through the registry"},
		{"cmd/engram", direct, "stages/index", "flags and exit codes"},
		{"internal/app", direct, "cmd/engram", "the composition root"},
		{"internal/session", direct, "graph", "the session is a state machine"},
		{"util", direct, "graph", "util has no line in the import table"},
	}
	for _, tt := range tests {
		t.Run(tt.folder+" "+tt.how+" "+tt.target, func(t *testing.T) {
			p := Package{ImportPath: Module + "/" + tt.folder}
			switch tt.how {
			case direct:
				p.Imports = ours(tt.target)
			case test:
				p.XTestImports = ours(tt.target)
			case deep:
				p.Deps = ours(tt.target)
			}
			found := CheckImports([]Package{p}, Layers(), Bans())
			if assert.Len(t, found, 1) {
				assert.Contains(t, found[0], tt.want)
			}
		})
	}
}

func TestBansReachOtherModules(t *testing.T) {
	p := Package{ImportPath: Module + "/graph", Deps: []string{"go.opentelemetry.io/otel/sdk/metric", "go.opentelemetry.io/otel"}}
	found := CheckImports([]Package{p}, Layers(), Bans())
	if assert.Len(t, found, 1) {
		assert.Contains(t, found[0], "graph reaches go.opentelemetry.io/otel/sdk/metric: the engine offers hooks")
	}
	p = Package{ImportPath: Module + "/internal/session", Deps: []string{"net/http"}}
	assert.Len(t, CheckImports([]Package{p}, Layers(), Bans()), 1)
}

func TestTheTableAllows(t *testing.T) {
	allowed := []Package{
		{ImportPath: Module + "/stages/index", Imports: append(ours("graph", "internal/memory", "stages/index/hnsw"), "sync")},
		{ImportPath: Module + "/stages/index", XTestImports: ours("graph/graphtest", "internal/dataset/fashionmnist")},
		{ImportPath: Module + "/stages", Imports: ours("stages/index", "stages/journal", "graph")},
		{ImportPath: Module + "/graph/graphtest", Imports: ours("graph")},
		{ImportPath: Module + "/transports/rpc", Imports: ours("transports", "proto/gen/engram/v1", "internal/telemetry")},
		{ImportPath: Module + "/internal/app", Imports: ours("stages", "config", "transports/rpc", "internal/telemetry")},
		{ImportPath: Module + "/graph", Deps: []string{"go.opentelemetry.io/otel/trace"}},
		{ImportPath: "example.com/someone/else", Imports: ours("internal/app")},
	}
	assert.Empty(t, CheckImports(allowed, Layers(), Bans()))
}

// A rule without a reason teaches nobody anything.
func TestEveryRuleHasAReason(t *testing.T) {
	for _, l := range Layers() {
		assert.NotEmpty(t, l.Why, l.Folder)
	}
	for _, b := range Bans() {
		assert.NotEmpty(t, b.Why, "%s to %s", b.From, b.To)
	}
}
