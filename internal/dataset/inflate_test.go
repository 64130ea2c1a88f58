package dataset_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/dataset"
)

// readFile reads a file of a name and data, and says whether it could be opened.
func readFile(t *testing.T, name string, data []byte) (rows []dataset.Row, opened bool, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	in, err := dataset.Open(path, nil)
	if err != nil {
		return nil, false, err
	}
	defer func() { require.NoError(t, in.Close()) }()
	rows, err = dataset.ReadAll(in)
	return rows, true, err
}

// samples are files of each kind with two rows of numbers that hardly pack.
func samples() map[string][]byte {
	var numbers [2 * 512]float32
	random := rand.New(rand.NewPCG(1, 2))
	for i := range numbers {
		numbers[i] = random.Float32()
	}
	idx := []byte{0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 2, 0}
	lines := ""
	for i, x := range numbers {
		idx = append(idx, byte(x*256))
		lines += string(rune('a' + int(x*26)))
		if i == 511 {
			lines += "\n"
		}
	}
	return map[string][]byte{
		"a.fvecs": fvecs(numbers[:512], numbers[512:]),
		"a.npy":   npy(1, npyHeader("<f4", "2, 512"), binary.LittleEndian, numbers[:]),
		"a.idx":   idx,
		"a.txt":   []byte(lines),
		"a.jsonl": []byte(`{"content":"` + strings.Replace(lines, "\n", "\"}\n{\"content\":\"", 1) + `"}`),
	}
}

// TestAPackedFileThatIsCutOff: that is what is said, not what the format makes of what could be unpacked; when nothing
// could be, before anything is done with it.
func TestAPackedFileThatIsCutOff(t *testing.T) {
	for name, data := range samples() {
		z := packed(t, data)
		for _, kept := range []int{2, 5, 10, 11, len(z) - 200, len(z) - 8, len(z) - 1} {
			_, opened, err := readFile(t, name+".gz", z[:kept])
			require.ErrorContains(t, err, "the compressed file is cut off", "%s, %d of %d bytes", name, kept, len(z))
			assert.Equal(t, kept > 11, opened, "%s, %d of %d bytes", name, kept, len(z))
		}
		damaged := packed(t, data)
		damaged[len(z)-6] ^= 1 // of the sum
		_, _, err := readFile(t, name+".gz", damaged)
		require.ErrorContains(t, err, "the compressed file is damaged: gzip: invalid checksum", name)

		rows, _, err := readFile(t, name+".gz", z)
		require.NoError(t, err, name)
		assert.Len(t, rows, 2, name)
	}
}

// TestAFileOfAnotherKindIsNotOpened: whatever its name says that it is.
func TestAFileOfAnotherKindIsNotOpened(t *testing.T) {
	for name := range samples() {
		_, opened, err := readFile(t, name, []byte("\xffELF and so on"))
		require.Error(t, err, name)
		assert.False(t, opened, name)

		_, opened, err = readFile(t, name+".gz", []byte("\xffELF and so on"))
		require.ErrorContains(t, err, "not gzip, as its name says (it begins ff 45)")
		assert.False(t, opened, name)

		_, opened, err = readFile(t, name+".gz", nil)
		require.ErrorContains(t, err, "it is empty")
		assert.False(t, opened, name)
	}
}
