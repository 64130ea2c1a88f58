package graph

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes as settings write it: "64KiB", "512MiB", "8GiB", "1MB" (decimal), "1.5GiB" or a
// plain number. Never negative once parsed.
type ByteSize int64

// byteUnits lists the units, binary ones largest first so that rendering finds the largest that divides.
var byteUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"B", 1},
}

// ParseByteSize reads a size. Units are not case-sensitive and a space may stand before them.
func ParseByteSize(text string) (ByteSize, error) {
	digits := strings.TrimSpace(text)
	unit := int64(1)
	for _, u := range byteUnits {
		if len(digits) > len(u.name) && strings.EqualFold(digits[len(digits)-len(u.name):], u.name) {
			digits, unit = strings.TrimSpace(digits[:len(digits)-len(u.name)]), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/unit {
			return 0, fmt.Errorf("size %q is out of range: 0 to 8388607TiB", text)
		}
		return ByteSize(n * unit), nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("size %q is not a number with a unit, such as 64KiB, 512MiB or 8GiB", text)
	}
	if f *= float64(unit); f >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is out of range: 0 to 8388607TiB", text)
	}
	return ByteSize(f), nil
}

// String renders the size in the largest binary unit that divides it, else as a plain number of bytes.
func (s ByteSize) String() string {
	for _, u := range byteUnits {
		if s != 0 && int64(s)%u.bytes == 0 && u.bytes&(u.bytes-1) == 0 && u.bytes > 1 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText renders the size as String does.
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size as ParseByteSize does.
func (s *ByteSize) UnmarshalText(text []byte) error {
	n, err := ParseByteSize(string(text))
	if err != nil {
		return err
	}
	*s = n
	return nil
}
