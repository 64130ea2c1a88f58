package arch

// Exceptions names what a rule excuses, each with its reason. One that excuses nothing any more fails the test, so that
// the lists only hold what is needed.

// LongFunctionExceptions are functions that may be longer, as "path:function": data laid out as code, which reads better
// in one piece.
func LongFunctionExceptions() map[string]string {
	return map[string]string{
		"tests/arch/table.go:Layers": "a table of data: one entry a folder",
	}
}

// SleepExceptions are test files that may sleep in real time.
func SleepExceptions() map[string]string {
	return map[string]string{
		"graph/modelstages_test.go": "its stages run in the bubbles of model_test.go",
	}
}

// Excuse takes the findings that the exceptions name out, and adds one for each exception that names nothing.
func Excuse(findings []Finding, exceptions map[string]string) []string {
	used := map[string]bool{}
	var left []string
	for _, f := range findings {
		if _, excused := exceptions[f.Subject]; excused {
			used[f.Subject] = true
			continue
		}
		left = append(left, f.Text)
	}
	for subject, reason := range exceptions {
		if reason == "" {
			left = append(left, subject+" is excused without a reason")
		}
		if !used[subject] {
			left = append(left, subject+" is excused and needs no excuse any more: delete the exception")
		}
	}
	return left
}
