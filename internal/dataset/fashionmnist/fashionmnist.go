// Package fashionmnist carries the 10,000 test images of Fashion-MNIST (784 grey values each, MIT licence, see
// NOTICE.md) inside the binary, so that the demo runs on real vectors with nothing else installed.
package fashionmnist

import (
	"bytes"
	_ "embed" // the two files below
	"fmt"

	"github.com/engram-stream/engram/internal/dataset"
)

//go:embed t10k-images-idx3-ubyte.gz
var images []byte

//go:embed t10k-labels-idx1-ubyte.gz
var labels []byte

// Labels are the names of the ten classes, by label number.
var Labels = [10]string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}

// Rows returns all images as rows: memory id "fashion-00042", the class name as content and metadata, and 784
// components in 0..255.
func Rows() ([]dataset.Row, error) {
	names, err := dataset.ReadLabels("t10k-labels-idx1-ubyte.gz", bytes.NewReader(labels))
	if err != nil {
		return nil, err
	}
	r, err := dataset.NewIDX("t10k-images-idx3-ubyte.gz", bytes.NewReader(images))
	if err != nil {
		return nil, err
	}
	rows, err := dataset.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if len(rows) != len(names) {
		return nil, fmt.Errorf("fashion-mnist: %d images but %d labels", len(rows), len(names))
	}
	for i := range rows {
		name := Labels[names[i]]
		rows[i].ID = fmt.Sprintf("fashion-%05d", i)
		rows[i].Content = name
		rows[i].Metadata = map[string]any{"label": name, "row": int64(i)}
	}
	return rows, nil
}
