package vectors

import (
	"bufio"
	"encoding/binary"
	"io"
)

// WriteFvecs writes rows in the format of .fvecs.
func (r *Rows) WriteFvecs(to io.Writer) error {
	out := bufio.NewWriterSize(to, 1<<20)
	entry := make([]byte, 0, 4+4*r.dimension)
	for i := range r.Len() {
		entry = binary.LittleEndian.AppendUint32(entry[:0], uint32(r.dimension))
		var err error
		if entry, err = binary.Append(entry, binary.LittleEndian, r.Row(i)); err != nil {
			return err
		}
		if _, err := out.Write(entry); err != nil {
			return err
		}
	}
	return out.Flush()
}
