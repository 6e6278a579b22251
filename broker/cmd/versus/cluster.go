package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/warren-mq/warren/broker/internal/process"
)

const (
	warren   = "Warren"
	rabbitMQ = "RabbitMQ"

	nodeCount      = 3
	startTimeout   = 2 * time.Minute
	stopTimeout    = 20 * time.Second
	pollInterval   = 200 * time.Millisecond
	ticksPerSecond = 100 // of /proc/PID/stat; Linux has no other
)

// errMissing says that something is not installed.
var errMissing = errors.New("not installed")

// cluster is three nodes, with proxies before them.
type cluster struct {
	name    string
	dir     string
	amqp    []string // addresses, by node
	http    []string // this broker's
	nodes   []*exec.Cmd
	proxies map[string]string // their addresses
	others  []*exec.Cmd
	close   func() error // after all processes have ended
}

func newCluster(name, dir string) (*cluster, error) {
	return &cluster{name: name, dir: dir, proxies: map[string]string{}, close: func() error { return nil }}, os.MkdirAll(dir, 0o750)
}

// url is where clients connect to.
func (c *cluster) url(via string) (string, error) {
	if via == "" {
		return "amqp://guest:guest@" + c.amqp[0] + "/", nil
	}
	if addr := c.proxies[via]; addr != "" {
		return "amqp://guest:guest@" + addr + "/", nil
	}
	return "", fmt.Errorf("%s: %w", via, errMissing)
}

// spawn runs a program in a process group of its own.
func (c *cluster) spawn(name string, env []string, program string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()    // the child has its own
	cmd := exec.Command(program, args...) //nolint:noctx // ended by stop
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, cmd.Start()
}

// stop ends all processes.
func (c *cluster) stop() error {
	all := append(c.others, c.nodes...)
	for _, cmd := range all {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	}
	for _, cmd := range all {
		t := time.AfterFunc(stopTimeout, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait() // the error says that it was ended
		t.Stop()
	}
	return c.close()
}

// cpu is what all nodes' processes have used so far.
func (c *cluster) cpu() (d time.Duration) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// After the name in brackets: state, parent, group, …, and as 12th and 13th the ticks.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		for _, n := range c.nodes {
			if len(f) > 12 && f[2] == strconv.Itoa(n.Process.Pid) {
				user, _ := strconv.Atoi(f[11])
				system, _ := strconv.Atoi(f[12])
				d += time.Duration(user+system) * time.Second / ticksPerSecond
			}
		}
	}
	return d
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// startWarren starts this broker's cluster.
func startWarren(ctx context.Context, dir, bin string) (_ *cluster, err error) {
	c, err := newCluster(warren, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	ports, err := process.FreePorts(3 * nodeCount)
	if err != nil {
		return nil, err
	}
	c.amqp = ports[:nodeCount]
	api, peers := ports[nodeCount:2*nodeCount], ports[2*nodeCount:]
	c.http = api
	var backends []string
	for i := range nodeCount {
		name := "broker-" + strconv.Itoa(i+1)
		cmd, err := c.spawn(name, nil, filepath.Join(bin, "broker"), "run", "--name="+name, "--data="+filepath.Join(dir, name),
			"--amqp="+c.amqp[i], "--http="+api[i], "--peer="+peers[i], "--peers="+strings.Join(peers, ","), "--log-level=warn")
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, cmd)
		backends = append(backends, c.amqp[i]+"/"+port(api[i]))
	}
	for _, addr := range api {
		if err := await(ctx, func(ctx context.Context) error {
			return get(ctx, "http://"+addr+"/api/health/checks/ready-to-serve-clients")
		}); err != nil {
			return nil, err
		}
	}
	return c, c.proxy(ctx, bin, backends)
}

// proxy starts HAProxy, if it is installed, and the balancer, if it can check the nodes.
func (c *cluster) proxy(ctx context.Context, bin string, backends []string) error {
	ports, err := process.FreePorts(2)
	if err != nil {
		return err
	}
	if len(backends) > 0 {
		cmd, err := c.spawn("balancer", nil, filepath.Join(bin, "balancer"), "--listen="+ports[0], "--stats=", "--backend="+strings.Join(backends, ","))
		if err != nil {
			return err
		}
		c.others = append(c.others, cmd)
		c.proxies["balancer"] = ports[0]
	}
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return nil //nolint:nilerr // its rows stay empty
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "defaults\n mode tcp\n timeout connect 2s\n timeout client 1h\n timeout server 1h\nlisten amqp\n bind %s\n", ports[1])
	for i, addr := range c.amqp {
		fmt.Fprintf(&conf, " server n%d %s\n", i+1, addr)
	}
	path := filepath.Join(c.dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(conf.String()), 0o640); err != nil {
		return err
	}
	cmd, err := c.spawn("haproxy", nil, program, "-db", "-f", path)
	if err != nil {
		return err
	}
	c.others = append(c.others, cmd)
	c.proxies["haproxy"] = ports[1]
	return await(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", ports[1])
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// await calls f until it succeeds.
func await(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollInterval):
		}
	}
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}
