package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
)

// Defaults of a relay.
const (
	DefaultPollInterval    = time.Second // for rows that nobody woke the relay for: another process, a crash
	DefaultBatchMax        = 256
	DefaultPublishTimeout  = 15 * time.Second
	DefaultRetryMin        = 100 * time.Millisecond
	DefaultRetryMax        = 30 * time.Second
	DefaultOutboxRetention = time.Hour
	DefaultInboxRetention  = 7 * 24 * time.Hour
	DefaultCleanInterval   = time.Minute
	markTimeout            = 10 * time.Second // a stop waits so long for a mark, to spare a duplicate
	cleanBatch             = 5000
	leaseTime              = 2 * time.Second // of a leader on SQLite; when it crashed another takes over after so long
	lastErrorBytesMax      = 500
)

// Publisher publishes in order and tells the fate of each message. *stream.App is one.
type Publisher interface {
	PublishRaw(ctx context.Context, binding string, ms []stream.Raw) []error
}

var _ Publisher = (*stream.App)(nil)

// RelayConfig changes a relay; zero fields are the defaults above.
type RelayConfig struct {
	PollInterval       time.Duration
	BatchMax           int
	PublishTimeout     time.Duration
	RetryMin, RetryMax time.Duration // pause of a key after a failed publish, doubling
	OutboxRetention    time.Duration // sent records are kept so long
	InboxRetention     time.Duration // a duplicate is recognised so long
	CleanInterval      time.Duration
	Logger             *slog.Logger
	MeterProvider      metric.MeterProvider // otel's global one when nil
}

// Relay publishes what the outbox holds. Any number of processes may run one on the same database: one of them leads and works,
// the others take over when it goes.
type Relay struct {
	db      *sqldb.DB
	store   store
	lead    leadership
	pub     Publisher
	cfg     RelayConfig
	wake    chan struct{}
	metrics *metrics

	// crash, in tests, stands for the death of the process between publish and mark.
	crash func() error
}

// NewRelay returns a relay that wakes at every commit of db.InTx.
func NewRelay(db *sqldb.DB, pub Publisher, cfg RelayConfig) *Relay {
	cfg.PollInterval = cmp.Or(cfg.PollInterval, DefaultPollInterval)
	cfg.BatchMax = cmp.Or(cfg.BatchMax, DefaultBatchMax)
	cfg.PublishTimeout = cmp.Or(cfg.PublishTimeout, DefaultPublishTimeout)
	cfg.RetryMin = cmp.Or(cfg.RetryMin, DefaultRetryMin)
	cfg.RetryMax = cmp.Or(cfg.RetryMax, DefaultRetryMax)
	cfg.OutboxRetention = cmp.Or(cfg.OutboxRetention, DefaultOutboxRetention)
	cfg.InboxRetention = cmp.Or(cfg.InboxRetention, DefaultInboxRetention)
	cfg.CleanInterval = cmp.Or(cfg.CleanInterval, DefaultCleanInterval)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r := &Relay{db: db, store: store{db}, lead: newLeadership(db), pub: pub, cfg: cfg, wake: make(chan struct{}, 1)}
	r.metrics = newMetrics(cfg.MeterProvider)
	db.OnCommit(r.Wake)
	return r
}

// Wake makes the relay look now. It never blocks.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Run relays until ctx ends. Failures are logged and tried again; it returns nil.
func (r *Relay) Run(ctx context.Context) error {
	defer r.metrics.watch(r.db, r.cfg.Logger)()
	defer r.lead.resign()
	poll := time.NewTicker(r.cfg.PollInterval)
	defer poll.Stop()
	clean := time.NewTicker(r.cfg.CleanInterval)
	defer clean.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = r.batch(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Logger.ErrorContext(ctx, "outbox relay", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-poll.C:
		case <-clean.C:
			if err := r.store.clean(ctx, time.Now().Add(-r.cfg.OutboxRetention), time.Now().Add(-r.cfg.InboxRetention)); err != nil && ctx.Err() == nil {
				r.cfg.Logger.WarnContext(ctx, "outbox clean", "error", err)
			}
		}
	}
}

// batch publishes one batch; more tells that another one may be worth it at once.
func (r *Relay) batch(ctx context.Context) (more bool, err error) {
	unlock, ours, err := r.lead.acquire(ctx)
	r.metrics.leads(ours)
	if err != nil || !ours {
		return false, err
	}
	defer unlock()
	rows, err := r.store.load(ctx, time.Now(), r.cfg.BatchMax)
	if err != nil {
		return false, err
	}
	failed := map[string]bool{} // keys that must wait
	progress := false
	for _, wave := range waves(rows) {
		if !r.lead.valid() {
			return true, nil // it took so long that another may lead by now; what is not sent is still there
		}
		sent, err := r.publish(ctx, wave, failed)
		if err != nil {
			return false, err
		}
		progress = progress || sent > 0
	}
	return progress && len(rows) == r.cfg.BatchMax, nil
}

// waves splits rows so that each wave has one row per key at most: a row is published only after the one before it in its
// aggregate is confirmed, yet the rows of a wave share a round trip.
func waves(rows []row) [][]row {
	var out [][]row
	depth := map[string]int{}
	for _, w := range rows {
		d := 0
		if w.key != "" {
			d = depth[w.key]
			depth[w.key]++
		}
		if d == len(out) {
			out = append(out, nil)
		}
		out[d] = append(out[d], w)
	}
	return out
}

// publish sends a wave, one batch per destination, and marks what is confirmed. Failed keys are added to failed.
func (r *Relay) publish(ctx context.Context, wave []row, failed map[string]bool) (sent int, err error) {
	var order []string
	groups := map[string][]row{}
	for _, w := range wave {
		if w.key != "" && failed[w.key] {
			continue
		}
		if groups[w.destination] == nil {
			order = append(order, w.destination)
		}
		groups[w.destination] = append(groups[w.destination], w)
	}
	for _, destination := range order {
		group := groups[destination]
		ms := make([]stream.Raw, len(group))
		for i, w := range group {
			ms[i] = w.message
		}
		pubCtx, cancel := context.WithTimeout(ctx, r.cfg.PublishTimeout)
		start := time.Now()
		errs := r.pub.PublishRaw(pubCtx, destination, ms)
		cancel()
		r.metrics.published(ctx, destination, errs, time.Since(start))
		if r.crash != nil {
			if err := r.crash(); err != nil {
				return sent, err
			}
		}
		n, err := r.mark(ctx, group, errs, failed)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// mark writes down what became of a group. It goes on for a while after ctx ended: what is published shall be known as such.
func (r *Relay) mark(ctx context.Context, group []row, errs []error, failed map[string]bool) (sent int, err error) {
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	var confirmed []int64
	for i, w := range group {
		if errs[i] == nil {
			confirmed = append(confirmed, w.seq)
			continue
		}
		failed[w.key] = true
		if stopping {
			continue // the stop is the reason, not the message
		}
		pause := min(r.cfg.RetryMin<<min(w.attempts, 20), r.cfg.RetryMax)
		r.cfg.Logger.WarnContext(ctx, "outbox publish failed", "message_id", w.message.ID, "destination", w.destination,
			"attempt", w.attempts+1, "pause", pause, "error", errs[i])
		if err := r.store.fail(ctx, w.seq, time.Now().Add(pause), errs[i]); err != nil {
			return 0, err
		}
	}
	return len(confirmed), r.store.sent(ctx, confirmed, time.Now())
}
