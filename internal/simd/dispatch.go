package simd

// kernels is one path: a full set of kernels for the same machine.
type kernels struct {
	name      string
	dot       func(a, b []float32) float32
	squaredL2 func(a, b []float32) float32
}

// active is the path in use; chosen once, before any call.
var active = kernels{name: "go", dot: dotGo, squaredL2: squaredL2Go}

// Path names the path in use, for logs and benchmarks: "go".
func Path() string { return active.name }
