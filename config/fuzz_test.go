package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse: no bytes make the reader panic, each problem has a place in the file, and what has no problem can be
// printed and read again.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	wiring, err := filepath.Glob("testdata/wiring/*.yaml")
	require.NoError(f, err)
	for _, file := range append(files, wiring...) {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add(Default())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, problems := Parse("fuzz.yaml", data, fakeKinds(), fakeEnv)
		for _, d := range Check(p, fakeKinds()) {
			require.NotEmpty(t, d.Message)
			require.NotEmpty(t, d.Pos.File)
			require.Positive(t, d.Pos.Line, d.Error())
			require.Positive(t, d.Pos.Column, d.Error())
		}
		if len(problems) == 0 {
			same(t, p, reparsed(t, printed(t, p)))
		}
	})
}
