package dataset_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/dataset"
)

// npy makes a file as numpy.save does: the header padded so that the values begin at a multiple of 64.
func npy(version byte, header string, order binary.ByteOrder, values any) []byte {
	before := 8 + 2
	if version > 1 {
		before = 8 + 4
	}
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY")
	b.Write([]byte{version, 0})
	if version == 1 {
		_ = binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	} else {
		_ = binary.Write(&b, binary.LittleEndian, uint32(len(header)))
	}
	b.WriteString(header)
	_ = binary.Write(&b, order, values)
	return b.Bytes()
}

func npyHeader(descr, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
}

func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func readNPY(data []byte) ([]dataset.Row, error) {
	r, err := dataset.NewNPY("data/faces.npy", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return dataset.ReadAll(r)
}

// TestNPY: every kind of number, byte order and version, and packed.
func TestNPY(t *testing.T) {
	half := []uint16{0x3c00, 0xc100, 0x0001, 0x7bff, 0x8000, 0x3555} // 1, -2.5, the least above 0, the most, -0, near 1/3
	want := []float32{1, -2.5, 0x1p-24, 65504, float32(math.Copysign(0, -1)), 0.33325195}
	doubles := make([]float64, len(want))
	for i, x := range want {
		doubles[i] = float64(x)
	}
	for name, data := range map[string][]byte{
		"f4 little": npy(1, npyHeader("<f4", "2, 3"), binary.LittleEndian, want),
		"f4 big":    npy(1, npyHeader(">f4", "2, 3"), binary.BigEndian, want),
		"f8 little": npy(2, npyHeader("<f8", "2, 3"), binary.LittleEndian, doubles),
		"f8 big":    npy(3, npyHeader(">f8", "2L, 3L"), binary.BigEndian, doubles),
		"f2 little": npy(1, npyHeader("<f2", "2, 3"), binary.LittleEndian, half),
		"f2 big":    npy(1, `{"shape": (2,3), "fortran_order": False, "descr": ">f2"}`, binary.BigEndian, half),
		"packed":    packed(t, npy(1, npyHeader("<f4", "2, 3"), binary.LittleEndian, want)),
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := readNPY(data)
			require.NoError(t, err)
			assert.Equal(t, []dataset.Row{
				{Line: 1, ID: "faces-00000", Embedding: want[:3]}, {Line: 2, ID: "faces-00001", Embedding: want[3:]},
			}, rows)
			assert.True(t, math.Signbit(float64(rows[1].Embedding[1])), "-0 stays -0")
		})
	}
	rows, err := readNPY(npy(1, npyHeader("<f2", "1, 3"), binary.LittleEndian, []uint16{0x7c00, 0xfc00, 0x7e00}))
	require.NoError(t, err)
	assert.Equal(t, "[+Inf -Inf NaN]", fmt.Sprint(rows[0].Embedding), "for the server to reject, by row")
}

func TestNPYRefusesWhatIsBroken(t *testing.T) {
	floats := []float32{1, 2, 3, 4}
	good := npy(1, npyHeader("<f4", "2, 2"), binary.LittleEndian, floats)
	shaped := func(descr, shape string) []byte { return npy(1, npyHeader(descr, shape), binary.LittleEndian, floats) }
	damaged := packed(t, good)
	damaged[len(damaged)-5] ^= 1 // of the sum
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"empty":           {nil, "it is empty"},
		"another format":  {[]byte("GIF89a and so on"), "not a .npy file (it begins 47 49 46"},
		"version":         {append([]byte("\x93NUMPY\x09\x00"), good[8:]...), "of version 9.0"},
		"cut in magic":    {good[:3], "ends within its header"},
		"short, another":  {[]byte("GIF"), "not a .npy file (it begins 47 49 46)"},
		"cut in length":   {good[:9], "ends within its header"},
		"cut in header":   {good[:40], "ends within its header"},
		"long header":     {[]byte("\x93NUMPY\x02\x00\xff\xff\xff\x7f"), "its header has 2147483647 bytes, more than 10000"},
		"cut in a row":    {good[:len(good)-1], "ends after 1 of 2 entries"},
		"too long":        {append(bytes.Clone(good), 0), "goes on after the 2 entries"},
		"checksum":        {damaged, "after the last of 2 entries: the compressed file is damaged: gzip: invalid checksum"},
		"one dimension":   {shaped("<f4", "4,"), "an array of 1 dimensions, shape (4,)"},
		"three":           {shaped("<f4", "1, 2, 2"), "an array of 3 dimensions"},
		"wide":            {shaped("<f4", "1, 4097"), "rows of 4097 components"},
		"no components":   {shaped("<f4", "4, 0"), "rows of 0 components"},
		"many rows":       {shaped("<f4", "18446744073709551615, 2"), "18446744073709551615 rows are more than"},
		"beyond a number": {shaped("<f4", "18446744073709551616, 2"), "cannot be read"},
		"integers":        {shaped("<i4", "2, 2"), `its numbers are "<i4"`},
		"no byte order":   {shaped("f4", "2, 2"), `its numbers are "f4"`},
		"records":         {npy(1, "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (4, 1), }", binary.LittleEndian, floats), "no descr that can be read"},
		"Fortran":         {npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", binary.LittleEndian, floats), "column by column"},
		"not a header":    {npy(1, "{}", binary.LittleEndian, floats), "no fortran_order"},
		"beyond float32":  {npy(1, npyHeader("<f8", "1, 2"), binary.LittleEndian, []float64{1, 1e39}), "entry 0: component 1: 1e+39 does not fit a float32"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readNPY(c.in)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "data/faces.npy")
		})
	}
}

func fvecs(vectors ...[]float32) []byte {
	var b bytes.Buffer
	for _, v := range vectors {
		_ = binary.Write(&b, binary.LittleEndian, int32(len(v)))
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.Bytes()
}

func readFvecs(data []byte) ([]dataset.Row, error) {
	r, err := dataset.NewFvecs("data/base.fvecs", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return dataset.ReadAll(r)
}

func TestFvecsAndBvecs(t *testing.T) {
	data := fvecs([]float32{1, -2.5}, []float32{3, 4})
	want := []dataset.Row{
		{Line: 1, ID: "base-00000", Embedding: []float32{1, -2.5}}, {Line: 2, ID: "base-00001", Embedding: []float32{3, 4}},
	}
	for _, in := range [][]byte{data, packed(t, data)} {
		rows, err := readFvecs(in)
		require.NoError(t, err)
		assert.Equal(t, want, rows)
	}
	r, err := dataset.NewBvecs("sift.bvecs", bytes.NewReader([]byte{2, 0, 0, 0, 7, 255, 2, 0, 0, 0, 0, 1}))
	require.NoError(t, err)
	rows, err := dataset.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, []dataset.Row{
		{Line: 1, ID: "sift-00000", Embedding: []float32{7, 255}}, {Line: 2, ID: "sift-00001", Embedding: []float32{0, 1}},
	}, rows)
	rows, err = readFvecs(nil)
	require.NoError(t, err)
	assert.Empty(t, rows)
}

func TestFvecsRefusesWhatIsBroken(t *testing.T) {
	first := fvecs([]float32{1, 2})
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"cut in a length": {append(bytes.Clone(first), 2, 0), "vector 1, from byte 12, is cut off"},
		"cut behind it":   {append(bytes.Clone(first), 2, 0, 0, 0), "vector 1, from byte 12, is cut off"},
		"cut in a vector": {first[:11], "vector 0, from byte 0, is cut off"},
		"another length":  {append(bytes.Clone(first), fvecs([]float32{1})...), "vector 1, from byte 12, has 1 components, those before it 2"},
		"negative":        {[]byte{255, 255, 255, 255}, "vector 0, from byte 0, says that it has -1 components"},
		"none":            {make([]byte, 4), "says that it has 0 components"},
		"wide":            {[]byte{1, 16, 0, 0}, "says that it has 4097 components"},
		"text":            {[]byte(`{"id":"a"}`), "is the file of this format?"},
		"damaged gzip":    {packed(t, bytes.Repeat(first, 100))[:40], "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readFvecs(c.in)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "data/base.fvecs")
		})
	}
}

// TestOpenPicksTheReader: by the ending of the name, packed or not.
func TestOpenPicksTheReader(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"a.npy":           npy(1, npyHeader("<f4", "1, 2"), binary.LittleEndian, []float32{1, 2}),
		"a.npy.gz":        packed(t, npy(1, npyHeader("<f4", "1, 2"), binary.LittleEndian, []float32{1, 2})),
		"a.fvecs":         fvecs([]float32{1, 2}),
		"a.fvecs.gz":      packed(t, fvecs([]float32{1, 2})),
		"a.bvecs":         {2, 0, 0, 0, 1, 2},
		"a-idx3-ubyte":    {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2},
		"a.ndjson":        []byte(`{"id":"a-00000","embedding":[1,2]}`),
		"a.idx3-ubyte":    {0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2},
		"a-idx3-ubyte.gz": packed(t, []byte{0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2}),
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		in, err := dataset.Open(path, nil)
		require.NoError(t, err, name)
		rows, err := dataset.ReadAll(in)
		require.NoError(t, err, name)
		assert.Equal(t, []dataset.Row{{Line: 1, ID: "a-00000", Embedding: []float32{1, 2}}}, rows, name)
		require.NoError(t, in.Close())
	}
}
