package quant

import (
	"fmt"
	"math"
)

// Centroid returns what the frame's codes are around, rotated, in units of the frame. It must not be changed.
func (f *Frame) Centroid() []float32 { return f.centroid }

// FrameOf returns a frame that was kept: see Centroid and PerUnit. The error says that there is none of these.
func (s *Scheme) FrameOf(centroid []float32, perUnit float64) (*Frame, error) {
	if len(centroid) != s.Padded() {
		return nil, fmt.Errorf("quant: a centroid of %d components where there are %d", len(centroid), s.Padded())
	}
	if !(perUnit > 0) || math.IsInf(perUnit, 0) {
		return nil, fmt.Errorf("quant: a unit of 1/%v", perUnit)
	}
	return &Frame{centroid: centroid, perUnit: perUnit}, nil
}
