package dataset_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/dataset"
	"github.com/engram-stream/engram/internal/dataset/fashionmnist"
)

func TestFashionMNISTIsWhole(t *testing.T) {
	rows, err := fashionmnist.Rows()
	require.NoError(t, err)
	require.Len(t, rows, 10000)
	perLabel := map[any]int{}
	sum := 0.0
	for _, r := range rows {
		require.Len(t, r.Embedding, 784)
		perLabel[r.Metadata["label"]]++
		for _, x := range r.Embedding {
			sum += float64(x)
		}
	}
	require.Len(t, perLabel, 10)
	for label, n := range perLabel {
		require.Equal(t, 1000, n, label)
	}
	// The published mean of the test set is 0.2868 of full scale.
	require.InDelta(t, 0.2868, sum/10000/784/255, 0.0001)
	require.Equal(t, "fashion-00042", rows[42].ID)
}

func TestJSONL(t *testing.T) {
	r := dataset.NewJSONL("in.jsonl", strings.NewReader(`{"id":"a","content":"x","embedding":[1,2.5],"metadata":{"n":3,"f":0.5,"s":"t","b":true}}

{"memoryId":"b","embeddingF32":"AACAPwAAAEA=","observedAt":"2026-01-02T03:04:05Z","confidence":0.5}
`))
	rows, err := dataset.ReadAll(r)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []float32{1, 2.5}, rows[0].Embedding)
	require.Equal(t, map[string]any{"n": int64(3), "f": 0.5, "s": "t", "b": true}, rows[0].Metadata)
	require.Equal(t, "b", rows[1].ID)
	require.Equal(t, []float32{1, 2}, rows[1].Embedding)
	require.Equal(t, 2026, rows[1].ObservedAt.Year())
	require.Equal(t, float32(0.5), *rows[1].Confidence)
}

func TestIDXRefusesWhatIsBroken(t *testing.T) {
	head := []byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"empty":     {nil, "it is empty"},
		"magic":     {[]byte("GIF89a"), "not an IDX file"},
		"header":    {head[:9], "ends within its header"},
		"truncated": {append(bytes.Clone(head), 1, 2, 3), "ends after 1 of 2 entries"},
		"wide":      {[]byte{0, 0, 8, 2, 0, 0, 0, 1, 0, 1, 0, 0}, "more than 4096"},
		"no width":  {[]byte{0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0}, "no components"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := dataset.NewIDX("x.idx", bytes.NewReader(c.in))
			if err == nil {
				_, err = dataset.ReadAll(r)
			}
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "x.idx")
		})
	}
}

// TestImagesHaveStableIDs: from the file's name and the row, so that the same file again replaces its rows.
func TestImagesHaveStableIDs(t *testing.T) {
	file := []byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9}
	for name, want := range map[string]string{
		"data/t10k-images-idx3-ubyte.gz":        "t10k-images-00001",
		"t10k-images.idx3-ubyte":                "t10k-images-00001",
		"faces.idx":                             "faces-00001",
		"idx3-ubyte":                            "idx-00001",
		"caf\xe9.idx":                           "caf-00001",
		strings.Repeat("é", 80) + "-idx3-ubyte": strings.Repeat("é", 50) + "-00001",
	} {
		in := file
		if strings.HasSuffix(name, ".gz") {
			in = packed(t, file)
		}
		r, err := dataset.NewIDX(name, bytes.NewReader(in))
		require.NoError(t, err)
		rows, err := dataset.ReadAll(r)
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, want, rows[1].ID, name)
		require.Equal(t, 2, rows[1].Line)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rows.jsonl.gz")
	data := packed(t, []byte(`{"id":"z","embedding":[1]}`))
	require.NoError(t, os.WriteFile(path, data, 0o600))

	in, err := dataset.Open(path, nil)
	require.NoError(t, err)
	require.EqualValues(t, len(data), in.Size())
	row, err := in.Next()
	require.NoError(t, err)
	require.Equal(t, "z", row.ID)
	_, err = in.Next()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, in.Size(), in.Consumed(), "counted as it lies on disk, not as it unpacks")
	require.NoError(t, in.Close())

	_, err = dataset.Open(filepath.Join(dir, "missing.jsonl"), nil)
	require.ErrorContains(t, err, "no such file")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.csv"), nil, 0o600))
	_, err = dataset.Open(filepath.Join(dir, "a.csv"), nil)
	require.ErrorContains(t, err, "known are .jsonl")

	folder := filepath.Join(dir, "d.jsonl")
	require.NoError(t, os.Mkdir(folder, 0o700))
	_, err = dataset.Open(folder, nil)
	require.ErrorContains(t, err, folder+": a folder, where a file is needed")

	in, err = dataset.Open(dataset.Stdin, strings.NewReader(`{"id":"s"}`))
	require.NoError(t, err)
	require.Zero(t, in.Size())
	row, err = in.Next()
	require.NoError(t, err)
	require.Equal(t, "s", row.ID)
	require.NoError(t, in.Close())
}
