package dataset_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/dataset"
)

// bytesOf are values in little-endian order.
func bytesOf(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.Bytes()
}

func TestBigANN(t *testing.T) {
	floats := bytesOf(uint32(2), uint32(3), []float32{1, 2, 3, -4, 5, 0.5})
	small := bytesOf(uint32(2), uint32(3), []byte{0, 255, 3, 4, 5, 6})
	for _, c := range []struct {
		name string
		data []byte
		want [][]float32
	}{
		{"base.fbin", floats, [][]float32{{1, 2, 3}, {-4, 5, 0.5}}},
		{"base.fbin.gz", packed(t, floats), [][]float32{{1, 2, 3}, {-4, 5, 0.5}}},
		{"base.u8bin", small, [][]float32{{0, 255, 3}, {4, 5, 6}}},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		require.NoError(t, os.WriteFile(path, c.data, 0o600))
		in, err := dataset.Open(path, nil)
		require.NoError(t, err)
		assert.Equal(t, 2, in.Total())
		rows, err := dataset.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		for i, row := range rows {
			assert.Equal(t, c.want[i], row.Embedding)
			assert.Equal(t, []string{"base-00000", "base-00001"}[i], row.ID)
		}
	}
}

func TestBrokenBigANN(t *testing.T) {
	for _, c := range []struct {
		data []byte
		want string
	}{
		{nil, "it is empty"},
		{[]byte{1, 2, 3}, "ends within its header"},
		{bytesOf(uint32(1), uint32(0)), "vectors have 0 components"},
		{bytesOf(uint32(1), uint32(1e9)), "is the file of this format?"},
		{bytesOf(^uint32(0), uint32(3)), "says that it has 4294967295 vectors"},
		{bytesOf(uint32(2), uint32(1), float32(1)), "ends after 1 of 2 entries"},
		{bytesOf(uint32(1), uint32(1), float32(1), float32(2)), "goes on after the 1 entries"},
	} {
		r, err := dataset.NewFbin("data/base.fbin", bytes.NewReader(c.data))
		if err == nil {
			_, err = dataset.ReadAll(r)
		}
		require.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, "data/base.fbin")
	}
}

func TestIvecs(t *testing.T) {
	good := bytesOf(int32(2), int32(7), int32(8), int32(1), int32(9))
	for _, data := range [][]byte{good, packed(t, good)} {
		answers, err := dataset.ReadIvecs("gt.ivecs", bytes.NewReader(data))
		require.NoError(t, err)
		assert.Equal(t, [][]uint32{{7, 8}, {9}}, answers)
	}
	for want, data := range map[string][]byte{
		"answer 1, from byte 12, is cut off":          good[:len(good)-1],
		"answer 1, from byte 12, is cut off: ":        good[:13],
		"answer 0, from byte 0, says that it has 0":   bytesOf(int32(0)),
		"says that it has 4294967295 numbers":         bytesOf(int32(-1)),
		"answer 0, from byte 0, number 1 is negative": bytesOf(int32(2), int32(1), int32(-1)),
	} {
		_, err := dataset.ReadIvecs("gt.ivecs", bytes.NewReader(data))
		require.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "gt.ivecs")
	}
}
