package indexbench

// Report is what Run has measured.
type Report struct {
	Machine Machine `json:"machine"`
	Set     Set     `json:"set"`
	Batch   int     `json:"batch"`
	K       int     `json:"k"`

	Insert Inserting  `json:"insert"`
	Merge  Merging    `json:"merge"`
	Memory Memory     `json:"memory"`
	Forget Forgetting `json:"forget"`
	Recall Recalling  `json:"recall"`
	Busy   Busy       `json:"recall_while_inserting"`
	Single Single     `json:"batch_against_single"`
}

// Inserting is what inserts cost until they are findable: of several runs the medians.
type Inserting struct {
	PerSecond []float64 `json:"per_second_of_each_run"`
	CPU       []float64 `json:"cpu_us_of_each_run"`

	MedianPerSecond float64 `json:"per_second"`
	MedianCPU       float64 `json:"cpu_us"` // of all cores, an insert
}

// Merging is what comes after the inserts: the graph tier takes over what is found by a scan until then.
type Merging struct {
	// Part is how much of the set is in the graph; 0: the space has none. The rest is scanned, and waits for more to come.
	Part    float64 `json:"part"`
	Seconds float64 `json:"seconds"`          // from the last insert until so much was
	CPU     float64 `json:"cpu_us_an_insert"` // meanwhile, beside what it took while inserts went on
	Done    bool    `json:"done"`             // it was waited for, until the process came to rest
}

// Memory is what the index holds when all is in it.
type Memory struct {
	Resident Resident `json:"resident"`
	Before   Resident `json:"resident_before"`
	PerRow   float64  `json:"bytes_a_vector"` // of what is no file, less what there was before, and less the bench's own records
}

// Forgetting is what it cost to forget the first rows again; nothing was if Count is 0.
type Forgetting struct {
	Count     int     `json:"count"`
	PerSecond float64 `json:"per_second"`     // until none is found any more
	CPU       float64 `json:"cpu_us"`         // a memory, until then
	Rest      float64 `json:"cpu_us_at_rest"` // a memory, from then until the graph is at rest; the wait is in it
}

// Recalling is recalls one after the other, with nothing else going on.
type Recalling struct {
	Right   float64 `json:"right"` // of the k nearest, how many came: 0 to 1
	Latency Latency `json:"latency"`
	CPU     float64 `json:"cpu_us"` // a recall
}

// Busy is recalls at a steady rate while inserts go on at full speed, into an index that is half full or more. Latency is
// counted from the time that a recall was due, so that one that is held up counts for those behind it too.
type Busy struct {
	PerSecond int     `json:"recalls_per_second"`
	Fills     int     `json:"fills"` // how often the index was filled for it
	Inserts   float64 `json:"inserts_per_second"`
	Latency   Latency `json:"latency"`
}

// Single compares one batch of 100 with 100 of one each, of which each waits for the one before: medians of turns.
type Single struct {
	Size    int     `json:"size"`
	Turns   int     `json:"turns"`
	BatchUs float64 `json:"batch_us"`
	EachUs  float64 `json:"singles_us"`
	Times   float64 `json:"times"`
}
