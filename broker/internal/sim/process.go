package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// machine is a computer: an address, a disk, a clock and at most one process.
type machine struct {
	w       *world
	name    string
	addr    string // without port
	disk    *disk
	off     bool          // without power
	skew    time.Duration // of its wall clock
	process *process
}

func (w *world) addMachine(name string) *machine {
	m := &machine{w: w, name: name, addr: fmt.Sprintf("10.0.0.%d", len(w.machines)+1), disk: newDisk()}
	w.machines = append(w.machines, m)
	return m
}

// process is a running instance of the program.
type process struct {
	w      *world
	m      *machine
	chance *rand.Rand // what the system gives as random
	resume chan struct{}

	files    map[int32]storage.File
	fds      map[int32]descriptor
	last     int32 // number of a descriptor or file
	finished *conn // tells which syncs have ended

	parked    bool
	parks     uint64 // counts them, to tell a timer of this one from older ones
	scheduled bool
	paused    bool
	killed    bool
	armed     int // calls that change the disk until the process is killed, 0: it is not
	done      bool
	code      uint32   // how it ended
	line      []byte   // of output, not complete yet
	tail      []string // its last lines
}

// processKey is the context's key for the process that calls.
type processKey struct{}

// firstNumber is behind those that systems give to standard files and directories.
const firstNumber = 9

// killedCode is the exit code of a process that was killed.
const killedCode = 137

// start starts the program on the machine.
func (m *machine) start(args ...string) *process {
	w := m.w
	w.booted++
	w.counts.Processes++
	p := &process{
		w: w, m: m, chance: rand.New(rand.NewPCG(w.seed, 1000+w.booted)), //nolint:gosec // reproducible
		resume: make(chan struct{}), files: map[int32]storage.File{}, fds: map[int32]descriptor{}, last: firstNumber,
	}
	m.process = p
	if m.off {
		m.off = false
		w.linksBack()
	}
	p.finished = &conn{w: w, owner: p}
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{m.name}, args...)...)
	ctx := context.WithValue(w.ctx, processKey{}, &call{p: p, args: append([]string{m.name}, args...)})
	go func() {
		<-p.resume
		if !p.killed {
			mod, err := w.program.runtime.InstantiateModule(ctx, w.program.code, config)
			if mod != nil {
				_ = mod.Close(ctx)
			}
			var exit *sys.ExitError
			switch {
			case errors.As(err, &exit):
				p.code = exit.ExitCode()
			case err != nil:
				p.code = 255
				p.output([]byte(err.Error() + "\n"))
			}
		}
		p.done = true
		w.turn <- struct{}{}
	}()
	p.parked = true
	p.wake()
	return p
}

// wake gives the process a turn, soon.
func (p *process) wake() {
	if p.parked && !p.scheduled && !p.paused && !p.done {
		p.scheduled = true
		p.w.after(0, func() {
			p.scheduled = false
			if !p.paused && !p.done && p.parked {
				p.step()
			}
		})
	}
}

// step lets the process run until it waits for something.
func (p *process) step() {
	p.parked = false
	p.resume <- struct{}{}
	<-p.w.turn
	if p.done {
		p.gone()
	}
}

// park ends the process's turn, until wake or for d if that is not negative.
func (p *process) park(d time.Duration) {
	p.parked = true
	p.parks++
	if id := p.parks; d >= 0 {
		p.w.after(d, func() {
			if p.parked && p.parks == id {
				p.wake()
			}
		})
	}
	p.w.turn <- struct{}{}
	<-p.resume
	if p.killed {
		panic(sys.NewExitError(killedCode))
	}
}

// kill ends the process where it is. It must not have the turn.
func (p *process) kill() {
	if p.done {
		return
	}
	p.killed, p.paused = true, false
	p.step()
}

// die ends the process that has the turn, within a call.
func (p *process) die() {
	p.killed = true
	panic(sys.NewExitError(killedCode))
}

// pause stops the process, as SIGSTOP does; cont lets it go on.
func (p *process) pause() { p.paused = true }

func (p *process) cont() {
	p.paused = false
	p.wake()
}

// gone cleans up behind a process.
func (p *process) gone() {
	p.m.process = nil
	p.m.disk.mem.Kill()
	p.dropConns(!p.m.off)
	if p.w.ended != nil {
		p.w.ended(p)
	}
}

// cutPower ends the machine's process, and what its disk has not synced.
func (m *machine) cutPower(s storage.Survival) {
	m.off = true
	if m.process != nil {
		m.process.kill()
	}
	m.disk.mem.Crash(s)
}

// random fills b.
func (p *process) random(b []byte) {
	for i := range b {
		b[i] = byte(p.chance.Uint32())
	}
}

// tailLines is how much of a process's output is kept to tell why it ended.
const tailLines = 40

// output takes what the process writes on standard output and error.
func (p *process) output(b []byte) {
	p.line = append(p.line, b...)
	for {
		line, rest, whole := bytes.Cut(p.line, []byte("\n"))
		if !whole {
			return
		}
		p.w.line(p.m.name, line)
		p.tail = append(p.tail, string(line))
		p.tail = p.tail[max(len(p.tail)-tailLines, 0):]
		p.line = rest
	}
}
