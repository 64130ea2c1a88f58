package arch

// Layers is "imports point down only", a line a folder. A package that needs an exception is in the wrong place.
func Layers() []Layer {
	return []Layer{
		{Folder: "internal/simd", Why: "kernels know numbers only, so that they can be tested against the pure ones alone"},
		{Folder: "internal/arena", Why: "memory knows nothing of what lies in it"},
		{Folder: "internal/files", Why: "how a file outlasts a power failure depends on nothing that is in it"},
		{Folder: "internal/fault", Why: "everything imports fault, so it imports nothing of ours"},
		{
			Folder: "internal/memory", May: []string{"internal/fault"},
			Why: "the domain's words depend on no part that uses them",
		},
		{
			Folder: "internal/session", May: []string{"internal/memory", "internal/fault"},
			Why: "the session is a state machine over the domain's words; stages and transports drive it",
		},
		{
			Folder: "graph", May: []string{"internal/fault"},
			Why: "the engine moves batches and knows nothing of what is in them",
		},
		{
			Folder: "stages", May: []string{"stages/...", "graph", "internal/memory", "internal/session", "internal/fault"},
			Kits: kits(), Why: "the registry is the only place that imports all stages, and it wires nothing else",
		},
		stage("decode"),
		stage("sequence"),
		stage("admit"),
		stage("embed"),
		stage("coalesce"),
		stage("shard"),
		storing("journal"),
		storing("index"),
		stage("notify"),
		{Folder: "stages/index/epoch", Why: whyIndexCore},
		{Folder: "stages/index/hnsw", May: []string{"internal/arena", "internal/simd", "stages/index/epoch", "stages/index/quant"}, Why: whyIndexCore},
		{Folder: "stages/index/fresh", May: []string{"internal/arena", "internal/simd", "stages/index/quant"}, Why: whyIndexCore},
		{Folder: "stages/index/quant", May: []string{"internal/simd"}, Why: whyIndexCore},
		{
			Folder: "config", May: []string{"graph", "internal/fault"},
			Why: "kinds arrive through the registry; the configuration knows no stage or transport by name",
		},
		{
			Folder: "transports",
			May: []string{
				"graph", "internal/memory", "internal/session", "internal/fault", "internal/telemetry", "proto/gen/...",
			},
			Kits: kits(), Why: "a transport turns frames into session items and back; what becomes of them is not its business",
		},
		{Folder: "proto/gen", Why: "generated from proto/ alone"},
		{Folder: "proto/protoc-gen-reference", Why: "it reads the schema; what the server makes of it is not its business"},
		{
			Folder: "client", May: []string{"proto/gen/..."}, Kits: kits(),
			Why: "users import the SDK: it speaks the wire protocol and shares no code with the server",
		},
		{
			Folder: "internal/telemetry", May: []string{"graph", "internal/fault"},
			Why: "telemetry attaches to the engine's hooks from outside and sees no stage",
		},
		{
			Folder: "internal/telemetry/export", May: []string{"internal/fault"},
			Why: "the SDK's exporters are heavy: who measures gets providers from outside, and only the application drags them in",
		},
		{Folder: "internal/console", Why: "the page is served files; it speaks to the server over HTTP"},
		{
			Folder: "internal/embed", May: []string{"internal/memory", "internal/fault"},
			Kits: append(kits(), "internal/embed/embedtest"), Why: "an embedder turns text into a vector and knows neither stage nor transport",
		},
		{
			Folder: "internal/dataset", May: []string{"internal/fault"},
			Why: "readers of files know no server, so that the client's side can use them",
		},
		{
			Folder: "internal/bench", May: []string{"client", "internal/dataset/...", "internal/fault", "internal/simd"},
			Why: "the load generator is a client like any other, or its numbers are not a client's",
		},
		{
			Folder: "internal/bench/vectors", May: []string{"internal/dataset", "internal/memory", "internal/fault", "internal/simd"},
			Why: "data sets and their exact answers share no code with the index that is measured by them",
		},
		{
			Folder: "internal/bench/runbook", May: []string{"internal/fault"},
			Why: "a runbook is a list of steps; what carries them out is not its business",
		},
		{
			Folder: "internal/bench/indexbench",
			May: []string{
				"graph", "stages/index/...", "internal/session", "internal/memory", "internal/fault", "internal/simd",
				"internal/bench/vectors", "internal/bench/runbook",
			},
			Why: "the index is measured as a pipeline runs it, without what stands before and under it",
		},
		{
			Folder: "internal/app",
			May: []string{
				"graph/...", "stages/...", "transports/...", "config/...", "client/...", "internal/...", "proto/gen/...",
			},
			Kits: kits(), Why: "the composition root imports everything but the command line and the tests",
		},
		{
			Folder: "cmd",
			May: []string{
				"internal/app", "internal/dataset/...", "internal/bench/...", "internal/memory", "client", "config", "internal/fault",
			},
			Kits: kits(), Why: "the command line is flags and exit codes; what it starts is built by internal/app",
		},
		{
			Folder: "examples", May: []string{"client", "proto/gen/..."},
			Why: "an example shows what a user can do, and users cannot import internal packages",
		},
		{
			Folder: "tests",
			May: []string{
				"graph/...", "stages/...", "transports/...", "config/...", "client/...", "internal/...", "proto/gen/...", "cmd/...",
			},
			Why: "the system's tests import anything",
		},
	}
}

const whyIndexCore = "the index's cores know vectors and ordinals only, so that they can be tested and measured alone"

// stage is the line that all stages share.
func stage(name string) Layer {
	return Layer{
		Folder: "stages/" + name,
		May:    []string{"graph", "internal/memory", "internal/session", "internal/fault"},
		Kits:   kits(),
		Why:    "a stage knows the contract and the domain; never another stage, a transport or the configuration",
	}
}

// storing is stage of one that keeps files.
func storing(name string) Layer {
	l := stage(name)
	l.May = append(l.May, "internal/files")
	return l
}

// kits are what tests of several layers share: test kits, data, and the pure kernels as the reference answer.
func kits() []string {
	return []string{"graph/graphtest", "internal/dataset/...", "internal/simd"}
}

// Bans are the few things that must not be reached through others either.
func Bans() []Ban {
	const (
		generic = "the engine must stay generic: it offers types and hooks, others fill them"
		sdk     = "the engine offers hooks; only internal/telemetry sets the OpenTelemetry SDK up"
		otelSDK = "go.opentelemetry.io/otel/sdk"
		noIO    = "the session core has no I/O: a shell drives it, and its tests need neither network nor disk"
	)
	return []Ban{
		{From: "graph", To: Module + "/internal/memory", Why: generic},
		{From: "graph", To: Module + "/proto", Why: generic},
		{From: "graph", To: Module + "/config", Why: generic},
		{From: "graph", To: Module + "/stages", Why: generic},
		{From: "graph", To: Module + "/transports", Why: generic},
		{From: "graph", To: otelSDK, Why: sdk},
		{From: "stages", To: Module + "/transports", Why: "a stage does not know how its items arrived"},
		{From: "stages", To: Module + "/config", Why: "a stage gets its settings through the registry"},
		{From: "stages", To: Module + "/proto", Why: "the wire's messages end at the transports; stages speak the domain's words"},
		{From: "stages", To: otelSDK, Why: "stages are measured from outside, by the engine's hooks"},
		{From: "transports", To: Module + "/stages", Why: "a transport finds services through the engine, never a stage"},
		{From: "transports", To: "google.golang.org/grpc", Why: "Connect speaks gRPC; a second server beside it is for no one"},
		{From: "config", To: Module + "/stages", Why: "kinds arrive through the registry"},
		{From: "config", To: Module + "/transports", Why: "kinds arrive through the registry"},
		{From: "client", To: Module + "/internal", Why: "users import the SDK; what it drags in becomes theirs"},
		{From: "client", To: "google.golang.org/grpc", Why: "users import the SDK; a second gRPC would be theirs too"},
		{From: "client", To: Module + "/graph", Why: "users import the SDK; what it drags in becomes theirs"},
		{From: "internal/session", To: "net", Why: noIO},
	}
}
