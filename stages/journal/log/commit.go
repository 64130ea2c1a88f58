package log

// Commit is the fate of one group of records. It implements memory.Durability. Safe for concurrent use.
type Commit struct {
	done chan struct{}
	err  error // written before done is closed
}

func newCommit() *Commit { return &Commit{done: make(chan struct{})} }

// Done is closed once the group is durable or lost.
func (c *Commit) Done() <-chan struct{} { return c.done }

// Err returns nil when the group is durable, else why it is lost. Before Done is closed it returns nil too.
func (c *Commit) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

func (c *Commit) resolve(err error) {
	c.err = err
	close(c.done)
}
