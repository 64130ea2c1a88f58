package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// schema are the files of the protocol, each with its page of the reference.
var schema = map[string]protoreflect.FileDescriptor{
	"memory.md": engramv1.File_engram_v1_memory_proto,
	"flow.md":   engramv1.File_engram_v1_flow_proto,
	"admin.md":  engramv1.File_engram_v1_admin_proto,
}

// TestTheReferenceNamesEverything: each call, message, field and enum value has its row. That their texts are those of
// the schema's comments, `make proto-check` sees.
func TestTheReferenceNamesEverything(t *testing.T) {
	for name, file := range schema {
		text := page(t, "docs/protocol/reference/"+name)
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				assert.Contains(t, text, "| `"+string(methods.Get(j).Name())+"` |", name)
			}
		}
		types(file.Messages(), file.Enums(), func(heading string, rows []string) {
			_, section, found := strings.Cut(text, "### "+heading+"\n")
			require.True(t, found, "%s has no %s", name, heading)
			section, _, _ = strings.Cut(section, "\n### ")
			for _, row := range rows {
				assert.Contains(t, section, "| `"+row+"` |", "%s: %s", name, heading)
			}
		})
	}
}

// TestTheGuideNamesEveryCallAndFrame: the pages for people tell of each call, each frame of a stream and each value of
// an enum that a client has to act upon.
func TestTheGuideNamesEveryCallAndFrame(t *testing.T) {
	var guide strings.Builder
	pages, err := filepath.Glob(filepath.Join(root, "docs", "protocol", "*.md"))
	require.NoError(t, err)
	for _, file := range pages {
		guide.WriteString(page(t, "docs/protocol/"+filepath.Base(file)))
	}
	text := guide.String()
	for name, file := range schema {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				assert.Contains(t, text, "`"+string(methods.Get(j).Name())+"`", name)
			}
		}
	}
	for _, stream := range []protoreflect.ProtoMessage{&engramv1.MemoryFlowRequest{}, &engramv1.MemoryFlowResponse{}} {
		fields := stream.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			assert.Contains(t, text, "`"+string(fields.Get(i).Message().Name()), "a frame")
		}
	}
	for _, enum := range []protoreflect.Enum{
		engramv1.Nack_REASON_UNSPECIFIED, engramv1.GoAway_REASON_UNSPECIFIED, engramv1.FlowControl_ACTION_UNSPECIFIED,
		engramv1.Session_STATE_UNSPECIFIED, engramv1.EventKind_EVENT_KIND_UNSPECIFIED, engramv1.HitState_HIT_STATE_UNSPECIFIED,
	} {
		values := enum.Descriptor().Values()
		for i := 1; i < values.Len(); i++ {
			assert.Contains(t, text, string(values.Get(i).Name()), enum.Descriptor().FullName())
		}
	}
}

// types visits messages and enums, those inside of messages too, with the names of their rows.
func types(messages protoreflect.MessageDescriptors, enums protoreflect.EnumDescriptors, visit func(heading string, rows []string)) {
	for i := range enums.Len() {
		e := enums.Get(i)
		var rows []string
		for j := range e.Values().Len() {
			rows = append(rows, string(e.Values().Get(j).Name()))
		}
		visit(heading(e), rows)
	}
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue
		}
		var rows []string
		for j := range m.Fields().Len() {
			rows = append(rows, string(m.Fields().Get(j).Name()))
		}
		visit(heading(m), rows)
		types(m.Messages(), m.Enums(), visit)
	}
}

func heading(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), "engram.v1.")
}

// codes are the statuses of the kinds of a fault, as the pages write them.
var codes = map[string]string{
	"InvalidArgument": "INVALID_ARGUMENT", "NotFound": "NOT_FOUND", "AlreadyExists": "ALREADY_EXISTS",
	"FailedPrecondition": "FAILED_PRECONDITION", "ResourceExhausted": "RESOURCE_EXHAUSTED", "StorageUnavailable": "UNAVAILABLE",
	"Unavailable": "UNAVAILABLE", "Unimplemented": "UNIMPLEMENTED", "PermissionDenied": "PERMISSION_DENIED",
	"Unauthenticated": "UNAUTHENTICATED", "DeadlineExceeded": "DEADLINE_EXCEEDED", "Canceled": "CANCELLED",
	"Aborted": "ABORTED", "Corrupt": "DATA_LOSS", "Internal": "INTERNAL",
}

var reasonRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (.+?) \\|")

// TestEveryReasonIsExplained: the table of reasons has a row for each that the server gives, with its code, and no other.
func TestEveryReasonIsExplained(t *testing.T) {
	_, table, found := strings.Cut(page(t, "docs/protocol/errors.md"), "## The reasons")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string]string{}
	for _, m := range reasonRow.FindAllStringSubmatch(table, -1) {
		rows[m[1]] = m[2]
	}
	given := map[string]bool{}
	walk(t, ".go", func(file, text string) {
		if strings.HasSuffix(file, "_test.go") || !strings.Contains(text, "WithReason(") {
			return
		}
		for _, r := range reasonsIn(t, file, text) {
			given[r.reason] = true
			assert.Contains(t, rows, r.reason, "%s: errors.md does not explain it", file)
			if code, known := codes[r.kind]; known {
				assert.Contains(t, rows[r.reason], "`"+code+"`", "%s: the code of %s", file, r.reason)
			}
		}
	})
	for reason := range rows {
		assert.True(t, given[reason], "errors.md explains %s, which nothing gives", reason)
	}
}

// givenReason is a reason where the code gives it, with the kind of its fault when that is written there too.
type givenReason struct{ reason, kind string }

func reasonsIn(t *testing.T, file, text string) (all []givenReason) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, text, 0)
	require.NoError(t, err)
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || method(call) != "WithReason" {
			return true
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			t.Errorf("%s: a reason that is no literal cannot be found by a reader either", file)
			return true
		}
		all = append(all, givenReason{strings.Trim(literal.Value, `"`), kindOf(call)})
		return true
	})
	return all
}

func method(call *ast.CallExpr) string {
	if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
		return selector.Sel.Name
	}
	return ""
}

// kindOf follows a chain of calls back to the fault's making.
func kindOf(call *ast.CallExpr) string {
	for {
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		if selector.Sel.Name == "New" || selector.Sel.Name == "Wrap" {
			if kind, ok := call.Args[0].(*ast.SelectorExpr); ok {
				return kind.Sel.Name
			}
			return ""
		}
		if call, ok = selector.X.(*ast.CallExpr); !ok {
			return ""
		}
	}
}

var (
	unbuilt  = regexp.MustCompile(`unbuilt(?:Target)?\("([^"]+)"\)`)
	rejected = regexp.MustCompile(`Code: fault\.Unimplemented\.Code\(\), Field: "([^"]+)"`)
	named    = regexp.MustCompile("`([^`]+)`")
)

// TestWhatIsNotServedIsRefused: what the table of the protocol's first page says is refused, the code refuses by that
// name; and what the code refuses so, the table or the README's says.
func TestWhatIsNotServedIsRefused(t *testing.T) {
	_, table, found := strings.Cut(page(t, "docs/protocol/README.md"), "## What this version does not serve")
	require.True(t, found)
	_, table, _ = strings.Cut(table, "| --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	said := map[string]bool{}
	for _, m := range named.FindAllStringSubmatch(table, -1) {
		said[m[1]] = true
	}
	_, status, found := strings.Cut(page(t, "README.md"), "## Status")
	require.True(t, found)
	status, _, _ = strings.Cut(strings.ToLower(status), "\n## ")
	refused := map[string]bool{}
	walk(t, ".go", func(file, text string) {
		if strings.HasSuffix(file, "_test.go") || !strings.HasPrefix(file, "transports/") {
			return
		}
		for _, m := range append(unbuilt.FindAllStringSubmatch(text, -1), rejected.FindAllStringSubmatch(text, -1)...) {
			refused[m[1]] = true
			last := m[1][strings.LastIndexAny(m[1], ". ")+1:]
			assert.True(t, said[m[1]] || strings.Contains(status, strings.ToLower(last)), "%s refuses %q, which no page says", file, m[1])
		}
	})
	require.NotEmpty(t, refused)
	for name := range said {
		assert.True(t, refused[name], "docs/protocol/README.md says that %q is refused, and nothing refuses it by this name", name)
	}
}
