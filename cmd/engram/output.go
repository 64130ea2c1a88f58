package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printer writes a command's answer: a table or text for people, JSON for machines (one document).
type printer struct {
	out  io.Writer
	json bool
}

// print writes v as JSON, or calls human.
func (p *printer) print(v any, human func(w io.Writer)) error {
	if p.json {
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	text := bufio.NewWriter(p.out) // keeps the first error of its many writes
	human(text)
	return text.Flush()
}

// notice renders a line for standard error, which is a JSON document of its own for machines.
func (e *environment) notice(line string) string {
	if !e.json {
		return "engram: " + line
	}
	b, err := json.Marshal(map[string]string{"notice": line})
	if err != nil {
		return ""
	}
	return string(b)
}

// table writes rows in aligned columns under a header.
func table(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	_ = t.Flush() // tabwriter only passes on the writer's error, which print reports
}

// short cuts text to n runes for a table cell, on one line.
func short(text string, n int) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
