// Package page is the one page at which the sample system is looked at and played with: a shop, the way of an order, services and
// cluster with the messages between them, the switches of the failures, load, and the ledger. It needs nothing from elsewhere.
package page

import (
	"context"
	"crypto/tls"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/order/internal/order"
)

//go:embed static
var static embed.FS

// Config of the page. Addresses may be empty: what is not there is not shown.
type Config struct {
	Orders *order.Service
	// Peers are the addresses of the other services' APIs, and of the conductor, by name.
	Peers map[string]string
	// Brokers are the addresses of the nodes' management APIs, with the user that may ask.
	Brokers []string
	// Trust is how peers and brokers are spoken to with TLS; nil as the machine is set up.
	Trust *tls.Config
	// Console and Traces are where people look on.
	Console, Traces string
	// Failures of this process; nil when none are allowed, then there is no load either.
	Failures *failure.Set
	Log      *slog.Logger
}

// Limits.
const (
	askTimeout   = time.Second // for a peer's or a broker's answer
	answerMax    = 4 << 20     // bytes of it
	viewersMax   = 32
	lookInterval = time.Second // between looks at the others, while somebody watches
)

// Page answers the browser.
type Page struct {
	cfg    Config
	client *http.Client
	load   load

	mu      sync.Mutex
	viewers int
	wake    chan struct{} // somebody began to watch
	last    snapshot
	changed chan struct{} // closed when last is another
}

// New returns the page.
func New(cfg Config) *Page {
	return &Page{
		cfg: cfg, client: &http.Client{Timeout: askTimeout, Transport: &http.Transport{TLSClientConfig: cfg.Trust}}, wake: make(chan struct{}, 1), changed: make(chan struct{}),
		load: load{orders: cfg.Orders, log: cfg.Log},
	}
}

// Routes registers the page at /.
func (p *Page) Routes(r chi.Router) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	serve := http.FileServerFS(files)
	page := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		serve.ServeHTTP(w, r)
	}
	for _, path := range []string{"/", "/page.css", "/page.js", "/picture.js"} {
		r.Get(path, page)
	}
	r.Get("/page/events", p.events)
	r.Get("/page/ledger", p.ledger)
	r.Put("/page/failures/{at}/{kind}", p.turn)
	r.Delete("/page/failures/{at}/{kind}", p.turn)
	r.Put("/page/load", p.setLoad)
}

// Run looks at the others while somebody watches, and makes the load that somebody asks for, until ctx ends.
func (p *Page) Run(ctx context.Context) error {
	var work sync.WaitGroup
	work.Go(func() { p.load.run(ctx) })
	defer work.Wait()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		if p.watched() {
			s := p.look(ctx)
			p.mu.Lock()
			p.last = s
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-tick.C:
		}
	}
}

func (p *Page) watched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.viewers > 0
}

// join counts a viewer, if there is room for one more.
func (p *Page) join() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers == viewersMax {
		return false
	}
	p.viewers++
	select {
	case p.wake <- struct{}{}:
	default: // it is awake already
	}
	return true
}

func (p *Page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.viewers--
}

// latest returns the last snapshot and a channel that is closed at the next.
func (p *Page) latest() (snapshot, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.changed
}
