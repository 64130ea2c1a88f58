package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
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
	var text strings.Builder
	human(&text)
	_, err := io.WriteString(p.out, legible(text.String()))
	return err
}

// legible spells control characters out, save the end of a line and the tab. Content is anybody's, and an escape sequence
// in it would be an order to the reader's terminal.
func legible(text string) string {
	return spelt(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// oneLine spells out all that is not seen of a text, such as an id, that stands within a line.
func oneLine(text string) string {
	return spelt(text, func(r rune) bool { return !unicode.IsGraphic(r) })
}

func spelt(text string, odd func(rune) bool) string {
	if strings.IndexFunc(text, odd) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if odd(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// notice renders a line for standard error, which is a JSON document of its own for machines.
func (e *environment) notice(line string) string {
	if !e.json {
		return "engram: " + legible(line)
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
		fmt.Fprintln(t, legible(strings.Join(r, "\t"))) // before its width is measured
	}
	_ = t.Flush() // tabwriter only passes on the writer's error, which print reports
}

// compact renders a value as JSON on one line.
func compact(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// short cuts text to n runes for a table cell, on one line.
func short(text string, n int) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
