package embed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/engram-stream/engram/internal/memory"
)

type embeddingsAnswer struct {
	Data []struct {
		Index     *int            `json:"index"`
		Embedding json.RawMessage `json:"embedding"`
	} `json:"data"`
}

// parseAnswer reads the vectors for n texts, put in the order of the texts by the index that each has. What is not
// exactly one usable vector for each of them is an error: a vector never goes to another text.
func parseAnswer(body []byte, n int) ([][]float32, error) {
	var answer embeddingsAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer is not readable: %w", err)
	}
	if len(answer.Data) != n {
		return nil, fmt.Errorf("%d vectors came for %d texts", len(answer.Data), n)
	}
	vectors := make([][]float32, n)
	for _, item := range answer.Data {
		if item.Index == nil {
			return nil, errors.New("a vector came without the index of its text")
		}
		i := *item.Index
		if i < 0 || i >= n || vectors[i] != nil {
			return nil, fmt.Errorf("a vector came for text %d, of %d, that was not asked for or has one", i, n)
		}
		vector, err := parseVector(item.Embedding)
		if err != nil {
			return nil, fmt.Errorf("the vector of text %d: %w", i, err)
		}
		vectors[i] = vector
	}
	return vectors, nil
}

// parseVector reads a list of finite numbers that are not all zero. JSON has no NaN; a null, which encoding/json takes
// for zero, is refused.
func parseVector(list json.RawMessage) ([]float32, error) {
	if bytes.Contains(list, []byte("null")) {
		return nil, errors.New("a component is null")
	}
	var vector []float32
	if err := json.Unmarshal(list, &vector); err != nil {
		return nil, err
	}
	switch {
	case len(vector) == 0:
		return nil, errors.New("it has no components")
	case len(vector) > memory.MaxDimension:
		return nil, fmt.Errorf("it has %d components, the most is %d", len(vector), memory.MaxDimension)
	}
	for _, x := range vector {
		if x != 0 {
			return vector, nil
		}
	}
	return nil, errors.New("all components are zero")
}
