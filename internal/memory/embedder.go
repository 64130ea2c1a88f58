package memory

import (
	"context"
	"fmt"
)

// Embedder turns texts into vectors. Safe for concurrent use.
type Embedder interface {
	// Kind is what the configuration calls it: "lexical", "openai".
	Kind() string
	// Identity names all that its vectors depend on, in 1 to MaxEmbedder bytes; a space records it. Vectors of two
	// identities do not compare.
	Identity() string
	// Dimension returns how many components its vectors have; 0: not known before its first answer.
	Dimension() int
	// Probe returns the dimension, asking for it where it is not known. Errors are those of Embed.
	Probe(ctx context.Context) (int, error)
	// Embed returns a vector for each text, in order: finite, not all zero. With a BadTexts error those named have none
	// (nil), and the others have theirs. With any other there are none; a fault.Unavailable or ResourceExhausted says
	// that it may go well later, and when to try again.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// BadTexts says, by index, why texts can never be embedded.
type BadTexts map[int]string

// Error implements error.
func (b BadTexts) Error() string {
	first := -1
	for i := range b {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Sprintf("%d of the texts cannot be embedded, text %d: %s", len(b), first, b[first])
}
