package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/warren-mq/warren/broker/internal/process"
)

const (
	nodeCount = 3

	readyTimeout = 60 * time.Second // for a node after its start
	pollInterval = 50 * time.Millisecond
	askTimeout   = 3 * time.Second // for one request to the management API
	endTimeout   = 15 * time.Second
	tailBytes    = 800 // of a log, shown when its process ended by itself
)

// node is one broker process and where it listens.
type node struct {
	index            int
	name             string
	dir              string // data
	amqp, http, peer string

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has ended
	killed  bool          // it was us
	stopped bool          // by SIGSTOP
	held    int           // how many faults keep it from starting
}

// cluster is the processes.
type cluster struct {
	dir      string
	broker   string
	nodes    []*node
	net      *network // nil: the nodes are connected directly
	peers    []string // as the nodes know each other
	balancer *exec.Cmd
	url      string // through the balancer
	died     func(n *node, why string)
}

// newCluster prepares a cluster below dir; relayed puts the network between the nodes.
// died is told of nodes that end by themselves.
func newCluster(dir, broker string, relayed bool, died func(*node, string)) (*cluster, error) {
	c := &cluster{dir: dir, broker: broker, died: died}
	ports, err := process.FreePorts(4*nodeCount + 1)
	if err != nil {
		return nil, err
	}
	c.url = "amqp://guest:guest@" + ports[4*nodeCount] + "/"
	var names, targets []string
	for i := range nodeCount {
		name := "broker-" + strconv.Itoa(i+1)
		p := ports[4*i:]
		n := &node{index: i, name: name, dir: filepath.Join(dir, name), amqp: p[0], http: p[1], peer: p[2]}
		if err := os.MkdirAll(n.dir, 0o750); err != nil {
			return nil, err
		}
		c.nodes, names, targets = append(c.nodes, n), append(names, name), append(targets, n.peer)
		if relayed {
			c.peers = append(c.peers, p[3])
		} else {
			c.peers = append(c.peers, n.peer)
		}
	}
	if relayed {
		c.net = newNetwork(names, c.peers, targets)
	}
	return c, nil
}

// start runs a node's process, unless it runs or is held.
func (c *cluster) start(n *node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil || n.held > 0 {
		return nil
	}
	log, err := os.OpenFile(c.logFile(n), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	cmd := exec.Command(c.broker, "run", "--name="+n.name, "--data="+n.dir, "--amqp="+n.amqp, "--http="+n.http,
		"--peer="+n.peer, "--peer-advertise="+c.peers[n.index], "--peers="+strings.Join(c.peers, ","), "--proxy-from=127.0.0.1") //nolint:noctx // ended by kill
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for us
	if c.net != nil {
		if err := c.net.open(n.index); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	n.cmd, n.ended, n.killed, n.stopped = cmd, ended, false, false
	go func() { // ends with the process, for which kill waits
		err := cmd.Wait()
		n.mu.Lock()
		n.cmd = nil
		byUs := n.killed
		n.mu.Unlock()
		if c.net != nil {
			c.net.shut(n.index)
		}
		close(ended)
		if !byUs {
			c.died(n, fmt.Sprintf("%v; last lines of %s:\n%s", err, c.logFile(n), tail(c.logFile(n))))
		}
	}()
	return nil
}

func (c *cluster) logFile(n *node) string { return filepath.Join(c.dir, n.name+".log") }

// kill ends a node's process at once and waits until it is gone.
func (n *node) kill() {
	n.mu.Lock()
	cmd, ended := n.cmd, n.ended
	n.killed = true
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended by itself
	select {
	case <-ended:
	case <-time.After(endTimeout):
	}
}

// hold keeps a node from starting while its disk is taken away; release lets it.
func (n *node) hold()    { n.holds(1) }
func (n *node) release() { n.holds(-1) }

func (n *node) holds(d int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held += d
}

// freeze stops a node's process where it is; thaw lets it go on.
func (n *node) freeze() { n.signal(syscall.SIGSTOP, true) }
func (n *node) thaw()   { n.signal(syscall.SIGCONT, false) }

func (n *node) signal(s syscall.Signal, stopped bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(s) // it may have ended by itself
		n.stopped = stopped
	}
}

func (n *node) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil && !n.stopped
}

// startAll runs all nodes that don't run, and waits until they serve.
func (c *cluster) startAll(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := c.start(n); err != nil {
			return err
		}
	}
	return c.awaitReady(ctx)
}

// awaitReady waits until all nodes serve.
func (c *cluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, n := range c.nodes {
		for {
			err := c.ask(ctx, n, "/api/health/checks/ready-to-serve-clients", nil)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not serve within %s: %w; last lines of its log:\n%s", n.name, readyTimeout, err, tail(c.logFile(n)))
			case <-time.After(pollInterval):
			}
		}
	}
	return nil
}

// ask asks a node's management API.
func (c *cluster) ask(ctx context.Context, n *node, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+path, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", path, resp.Status, bytes.TrimSpace(body))
	}
	if err == nil && into != nil {
		err = json.Unmarshal(body, into)
	}
	return err
}

// queueStatus is what the management API says of a queue.
type queueStatus struct {
	Name    string `json:"name"`
	Leader  string `json:"leader"`
	Ready   int    `json:"messages_ready"`
	Unacked int    `json:"messages_unacknowledged"`
}

func (c *cluster) queue(ctx context.Context, n *node, name string) (q queueStatus, err error) {
	return q, c.ask(ctx, n, "/api/queues/%2F/"+name, &q)
}

// startBalancer runs the balancer, with checks fast enough for faults of seconds.
func (c *cluster) startBalancer(program string) error {
	var backends []string
	for _, n := range c.nodes {
		_, check, err := net.SplitHostPort(n.http)
		if err != nil {
			return err
		}
		backends = append(backends, n.name+"="+n.amqp+"/"+check)
	}
	log, err := os.Create(filepath.Join(c.dir, "balancer.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	addr := strings.TrimSuffix(c.url[strings.IndexByte(c.url, '@')+1:], "/")
	cmd := exec.Command(program, "--listen="+addr, "--stats=", "--backend="+strings.Join(backends, ","), "--send-proxy",
		"--check-interval=250ms", "--check-timeout=1s", "--rise=1", "--fall=2") //nolint:noctx // ended by stop
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.balancer = cmd
	return nil
}

// stop ends all processes.
func (c *cluster) stop() {
	for _, n := range c.nodes {
		n.kill()
	}
	if c.balancer != nil {
		_ = c.balancer.Process.Kill()
		_ = c.balancer.Wait() // the error says that it was killed
	}
	if c.net != nil {
		c.net.close()
	}
}

// tail is the end of a file.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return string(b)
}
