package graph

// Route says where a partitioning stage sends a batch (see Port.SendTo). All batches with one Key have one Lane.
type Route struct {
	// Lane is whose worker runs the batch, 0 <= Lane < Lanes(), unless another worker takes the key over.
	Lane int
	// Key is what is run by one worker at a time from here on, and in order. Empty: the lane itself.
	Key string
	// Sender narrows whom an urgent batch may not overtake: in the queue straight behind the stage, batches of one key
	// and one sender keep their order. Behind that queue, and with no sender, all batches of the key do.
	Sender string
	// Urgent batches go before those that are not, but for the earlier ones of their sender, which come with them.
	Urgent bool
}

// onward is the route of what a stage sends that was handed a batch from a queue: what has been taken has its place among
// the batches of its key, and nothing overtakes it any more.
func (r Route) onward() Route {
	r.Sender = ""
	return r
}
