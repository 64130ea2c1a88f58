package embed

import (
	"crypto/sha256"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entryOverhead is what a remembered vector weighs beside its components, in bytes: key, list and map entries.
const entryOverhead = 160

// cache remembers vectors by their text, bounded in entries and in bytes; the least recently used go. Safe for
// concurrent use. A nil cache remembers nothing.
type cache struct {
	limit int64

	mu    sync.Mutex
	lru   *simplelru.LRU[[sha256.Size]byte, []float32] // guarded by mu
	bytes int64                                        // guarded by mu
}

func newCache(items int, bytes int64) *cache {
	if items < 1 || bytes < 1 {
		return nil
	}
	c := &cache{limit: bytes}
	// It fails for a size below 1 only.
	c.lru, _ = simplelru.NewLRU(items, func(_ [sha256.Size]byte, v []float32) { c.bytes -= weight(v) })
	return c
}

func weight(vector []float32) int64 { return int64(entryOverhead + 4*len(vector)) }

// get returns the vector of a text, to be read only, or nil.
func (c *cache) get(text string) []float32 {
	if c == nil {
		return nil
	}
	key := sha256.Sum256([]byte(text))
	c.mu.Lock()
	defer c.mu.Unlock()
	vector, _ := c.lru.Get(key)
	return vector
}

func (c *cache) put(text string, vector []float32) {
	if c == nil || weight(vector) > c.limit {
		return
	}
	key := sha256.Sum256([]byte(text))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
	c.lru.Add(key, vector)
	for c.bytes += weight(vector); c.bytes > c.limit; {
		c.lru.RemoveOldest()
	}
}
