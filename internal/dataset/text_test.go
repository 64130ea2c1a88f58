package dataset

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextIsAContentALine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "diary.txt")
	require.NoError(t, os.WriteFile(file, []byte("\ufefflikes tea\r\n\n  runs on Sundays \nlast"), 0o600))
	in, err := Open(file, nil)
	require.NoError(t, err)
	defer in.Close()
	rows, err := ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, []Row{
		{Line: 1, ID: "diary-00001", Content: "likes tea"},
		{Line: 3, ID: "diary-00003", Content: "runs on Sundays"},
		{Line: 4, ID: "diary-00004", Content: "last"},
	}, rows)

	rows, err = ReadAll(Lines("stdin", strings.NewReader("a\nb")))
	require.NoError(t, err)
	assert.Equal(t, []Row{{Line: 1, Content: "a"}, {Line: 2, Content: "b"}}, rows)
}

func TestTextThatCannotBeRead(t *testing.T) {
	_, err := ReadAll(Lines("stdin", strings.NewReader("a\n\xff")))
	require.EqualError(t, err, "read text: stdin:2: not UTF-8")
	_, err = ReadAll(Lines("stdin", strings.NewReader("a\n"+strings.Repeat("x", MaxLine+1))))
	require.ErrorContains(t, err, "stdin:2: a line of more than")
}

func TestOneRow(t *testing.T) {
	in := One(Row{Content: "a\nb"})
	row, err := in.Next()
	require.NoError(t, err)
	assert.Equal(t, Row{Line: 1, Content: "a\nb"}, row)
	_, err = in.Next()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, in.Close())
}
