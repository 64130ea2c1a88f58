package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse: no bytes make the reader panic, each problem has a place in the file, and what has no problem can be
// printed and read again, and can be built if it could.
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
		found := Check(p, fakeKinds())
		for _, d := range found {
			require.NotEmpty(t, d.Message)
			require.NotEmpty(t, d.Pos.File)
			require.Positive(t, d.Pos.Line, d.Error())
			require.Positive(t, d.Pos.Column, d.Error())
		}
		if len(problems) == 0 {
			again := reparsed(t, printed(t, p))
			same(t, p, again)
			require.Equal(t, len(found) == 0, len(Check(again, fakeKinds())) == 0, "what can be built still can")
		}
	})
}
