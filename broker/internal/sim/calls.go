package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// errno is an error number of WASI, preview 1.
type errno uint32

const (
	errAgain   errno = 6
	errBadFile errno = 8
	errRefused errno = 14
	errReset   errno = 15
	errIO      errno = 29
	errNoEntry errno = 44
	errNoSpace errno = 51
	errNoSys   errno = 52
	errPipe    errno = 64
)

// clockStep is what a look at the clock takes, so that nobody waits for it in vain.
const clockStep = 100 * time.Nanosecond

// call is a process that calls the system, and where its memory is.
type call struct {
	p    *process
	args []string
	mem  api.Memory
}

func (c *call) bytes(at, n uint64) []byte {
	b, ok := c.mem.Read(uint32(at), uint32(n))
	if !ok {
		panic("sim: address out of range")
	}
	return b
}

func (c *call) text(at, n uint64) string { return string(c.bytes(at, n)) }

func (c *call) put32(at uint64, v uint32) {
	binary.LittleEndian.PutUint32(c.bytes(at, 4), v)
}

func (c *call) put64(at, v uint64) { binary.LittleEndian.PutUint64(c.bytes(at, 8), v) }

// system is a function that processes can call.
type system struct {
	name   string
	params string // i: 32 bits, l: 64 bits
	do     func(c *call, a []uint64) int64
}

// exportCalls gives processes the part of WASI that Go's runtime uses, and what it lacks:
// a file system whose syncs do not stop the process, and dialing.
func exportCalls(ctx context.Context, r wazero.Runtime) error {
	for module, calls := range map[string][]system{"wasi_snapshot_preview1": wasi, "warren": own} {
		b := r.NewHostModuleBuilder(module)
		for _, s := range calls {
			params := make([]api.ValueType, len(s.params))
			for i, t := range s.params {
				if params[i] = api.ValueTypeI32; t == 'l' {
					params[i] = api.ValueTypeI64
				}
			}
			do, kinds := s.do, s.params
			results := []api.ValueType{api.ValueTypeI32}
			if s.name == "proc_exit" {
				results = nil
			}
			if module == "warren" {
				results[0] = api.ValueTypeI64
			}
			fn := func(ctx context.Context, mod api.Module, stack []uint64) {
				c := ctx.Value(processKey{}).(*call)
				c.mem = mod.Memory()
				for i, t := range kinds {
					if t == 'i' {
						stack[i] = uint64(uint32(stack[i])) // the rest is undefined
					}
				}
				v := do(c, stack)
				if results != nil {
					stack[0] = uint64(v)
				}
			}
			b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(fn), params, results).Export(s.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func unsupported(*call, []uint64) int64 { return int64(errNoSys) }

func ok(*call, []uint64) int64 { return 0 }

var wasi = []system{
	{"sched_yield", "", ok},
	{"proc_exit", "i", func(_ *call, a []uint64) int64 { panic(sys.NewExitError(uint32(a[0]))) }},
	{"args_sizes_get", "ii", func(c *call, a []uint64) int64 {
		c.put32(a[0], uint32(len(c.args)))
		c.put32(a[1], uint32(len(strings.Join(c.args, " "))+1))
		return 0
	}},
	{"args_get", "ii", func(c *call, a []uint64) int64 {
		at := a[1]
		for i, s := range c.args {
			c.put32(a[0]+uint64(4*i), uint32(at))
			copy(c.bytes(at, uint64(len(s)+1)), s+"\x00")
			at += uint64(len(s) + 1)
		}
		return 0
	}},
	{"environ_sizes_get", "ii", func(c *call, a []uint64) int64 {
		c.put32(a[0], 0)
		c.put32(a[1], 0)
		return 0
	}},
	{"environ_get", "ii", ok},
	{"clock_time_get", "ili", func(c *call, a []uint64) int64 {
		w := c.p.w
		w.now += int64(clockStep)
		t := w.now
		if a[0] == 0 { // the wall clock
			t += epoch.UnixNano() + int64(c.p.m.skew)
		}
		c.put64(a[2], uint64(t))
		return 0
	}},
	{"random_get", "ii", func(c *call, a []uint64) int64 {
		c.p.random(c.bytes(a[0], a[1]))
		return 0
	}},
	{"poll_oneoff", "iiii", pollOneoff},
	{"fd_write", "iiii", func(c *call, a []uint64) int64 {
		n := 0
		for i := range a[2] {
			iov := c.bytes(a[1]+8*i, 8)
			b := c.bytes(uint64(binary.LittleEndian.Uint32(iov)), uint64(binary.LittleEndian.Uint32(iov[4:])))
			if fd := int32(a[0]); fd == 1 || fd == 2 {
				c.p.output(b)
				n += len(b)
				continue
			}
			k, isConn := c.p.fds[int32(a[0])].(*conn)
			switch {
			case !isConn:
				return int64(errBadFile)
			case k.broken || k.peer == nil:
				return int64(errPipe)
			case !k.writable():
				if n == 0 {
					return int64(errAgain)
				}
			default:
				n += k.write(b)
			}
		}
		c.put32(a[3], uint32(n))
		return 0
	}},
	{"fd_read", "iiii", func(c *call, a []uint64) int64 {
		k, isConn := c.p.fds[int32(a[0])].(*conn)
		if !isConn {
			return int64(errBadFile)
		}
		n := 0
		for i := range a[2] {
			iov := c.bytes(a[1]+8*i, 8)
			n += k.read(c.bytes(uint64(binary.LittleEndian.Uint32(iov)), uint64(binary.LittleEndian.Uint32(iov[4:]))))
		}
		switch {
		case n > 0 || k.ended:
		case k.broken:
			return int64(errReset)
		default:
			return int64(errAgain)
		}
		c.put32(a[3], uint32(n))
		return 0
	}},
	{"fd_close", "i", func(c *call, a []uint64) int64 {
		d := c.p.fds[int32(a[0])]
		if d == nil {
			return int64(errBadFile)
		}
		d.close()
		delete(c.p.fds, int32(a[0]))
		return 0
	}},
	{"fd_fdstat_get", "ii", func(c *call, a []uint64) int64 {
		b := c.bytes(a[1], 24)
		clear(b)
		b[0] = 2 // a device of characters
		if fd := int32(a[0]); fd > 2 {
			if c.p.fds[fd] == nil {
				return int64(errBadFile)
			}
			b[0], b[2] = 6, 4 // a stream; reads and writes do not wait
		}
		return 0
	}},
	{"fd_fdstat_set_flags", "ii", ok},
	{"fd_prestat_get", "ii", func(*call, []uint64) int64 { return int64(errBadFile) }},
	{"fd_prestat_dir_name", "iii", unsupported},
	{"sock_accept", "iii", func(c *call, a []uint64) int64 {
		l, isListener := c.p.fds[int32(a[0])].(*listener)
		if !isListener {
			return int64(errBadFile)
		}
		if len(l.backlog) == 0 {
			return int64(errAgain)
		}
		k := l.backlog[0]
		l.backlog = l.backlog[1:]
		k.owner = c.p
		c.put32(a[2], uint32(c.p.add(k)))
		return 0
	}},
	{"sock_shutdown", "ii", func(c *call, a []uint64) int64 {
		k, isConn := c.p.fds[int32(a[0])].(*conn)
		if !isConn {
			return int64(errBadFile)
		}
		if a[1]&2 != 0 && !k.broken {
			k.send(packet{packetClose, nil})
		}
		return 0
	}},
	{"fd_filestat_get", "ii", unsupported},
	{"fd_filestat_set_size", "il", unsupported},
	{"fd_pread", "iiili", unsupported},
	{"fd_pwrite", "iiili", unsupported},
	{"fd_readdir", "iiili", unsupported},
	{"fd_seek", "ilii", unsupported},
	{"fd_sync", "i", unsupported},
	{"path_create_directory", "iii", unsupported},
	{"path_filestat_get", "iiiii", unsupported},
	{"path_filestat_set_times", "iiiilli", unsupported},
	{"path_link", "iiiiiii", unsupported},
	{"path_open", "iiiiillii", unsupported},
	{"path_readlink", "iiiiii", unsupported},
	{"path_remove_directory", "iii", unsupported},
	{"path_rename", "iiiiii", unsupported},
	{"path_symlink", "iiiii", unsupported},
	{"path_unlink_file", "iii", unsupported},
}

// add gives a descriptor a number.
func (p *process) add(d descriptor) int32 {
	p.last++
	p.fds[p.last] = d
	return p.last
}

// subscription is what a process waits for, besides the time.
type subscription struct {
	userdata uint64
	write    bool
	fd       int32
}

// pollOneoff waits for a time, or for descriptors.
func pollOneoff(c *call, a []uint64) int64 {
	const subBytes, eventBytes = 48, 32
	p, wait := c.p, int64(-1)
	var clock uint64
	subs := make([]subscription, 0, a[2])
	for i := range a[2] {
		b := c.bytes(a[0]+subBytes*i, subBytes)
		userdata := binary.LittleEndian.Uint64(b)
		if b[8] == 0 {
			clock = userdata
			wait = int64(min(binary.LittleEndian.Uint64(b[24:]), math.MaxInt64))
			continue
		}
		subs = append(subs, subscription{userdata, b[8] == 2, int32(binary.LittleEndian.Uint32(b[16:]))})
	}
	until := p.w.now + wait
	n := uint64(0)
	put := func(userdata uint64, kind byte, code errno) {
		b := c.bytes(a[1]+eventBytes*n, eventBytes)
		clear(b)
		binary.LittleEndian.PutUint64(b, userdata)
		binary.LittleEndian.PutUint16(b[8:], uint16(code))
		b[10] = kind
		n++
	}
	for {
		for _, s := range subs {
			d := p.fds[s.fd]
			kind := byte(1)
			if s.write {
				kind = 2
			}
			switch {
			case d == nil:
				put(s.userdata, kind, errBadFile)
			case s.write && d.writable() || !s.write && d.readable():
				put(s.userdata, kind, 0)
			}
		}
		if n == 0 && wait >= 0 && p.w.now >= until {
			put(clock, 0, 0)
		}
		if n > 0 || wait == 0 {
			c.put32(a[3], uint32(n))
			return 0
		}
		if wait < 0 {
			p.park(-1)
		} else {
			p.park(time.Duration(until - p.w.now))
		}
	}
}

func failed(code errno) int64 { return -int64(code) }

// writes is called before each call that changes the disk: an armed process may end there.
func (p *process) writes() bool {
	if p.armed > 0 {
		p.armed--
		return p.armed == 0
	}
	return false
}

// own is what processes can do besides WASI. Results below 0 are error numbers.
var own = []system{
	{"fs_open", "iii", func(c *call, a []uint64) int64 {
		if a[2] != 0 && c.p.writes() {
			c.p.die()
		}
		f, err := c.p.m.disk.mem.Open(c.text(a[0], a[1]), a[2] != 0)
		if err != nil {
			return failed(errnoOf(err))
		}
		c.p.last++
		c.p.files[c.p.last] = f
		return int64(c.p.last)
	}},
	{"fs_close", "i", func(c *call, a []uint64) int64 {
		delete(c.p.files, int32(a[0]))
		return 0
	}},
	{"fs_read", "iiil", func(c *call, a []uint64) int64 {
		f := c.p.files[int32(a[0])]
		if f == nil {
			return failed(errBadFile)
		}
		n, err := f.ReadAt(c.bytes(a[1], a[2]), int64(a[3]))
		if err != nil && !errors.Is(err, io.EOF) {
			return failed(errIO)
		}
		return int64(n)
	}},
	{"fs_write", "iiil", func(c *call, a []uint64) int64 {
		f := c.p.files[int32(a[0])]
		if f == nil {
			return failed(errBadFile)
		}
		b, last := c.bytes(a[1], a[2]), c.p.writes()
		if c.p.m.disk.full {
			return failed(errNoSpace)
		}
		if last { // only a part of it is written
			b = b[:c.p.w.chance.IntN(len(b)+1)]
		}
		n, err := f.WriteAt(b, int64(a[3]))
		if last {
			c.p.die()
		}
		if err != nil {
			return failed(errIO)
		}
		return int64(n)
	}},
	{"fs_size", "i", func(c *call, a []uint64) int64 {
		f := c.p.files[int32(a[0])]
		if f == nil {
			return failed(errBadFile)
		}
		n, err := f.Size()
		if err != nil {
			return failed(errIO)
		}
		return n
	}},
	{"fs_sync", "il", func(c *call, a []uint64) int64 {
		f := c.p.files[int32(a[0])]
		if f == nil {
			return failed(errBadFile)
		}
		if c.p.writes() {
			c.p.die()
		}
		finish, err := f.(storage.SyncStarter).BeginSync()
		if err != nil {
			return failed(errIO)
		}
		c.p.sync(a[1], finish)
		return 0
	}},
	{"fs_syncdir", "iil", func(c *call, a []uint64) int64 {
		if c.p.writes() {
			c.p.die()
		}
		dir, mem := c.text(a[0], a[1]), c.p.m.disk.mem
		c.p.sync(a[2], func() error { return mem.SyncDir(dir) })
		return 0
	}},
	{"fs_rename", "iiii", func(c *call, a []uint64) int64 {
		if c.p.writes() {
			c.p.die()
		}
		return failed(errnoOf(c.p.m.disk.mem.Rename(c.text(a[0], a[1]), c.text(a[2], a[3]))))
	}},
	{"fs_remove", "ii", func(c *call, a []uint64) int64 {
		if c.p.writes() {
			c.p.die()
		}
		return failed(errnoOf(c.p.m.disk.mem.Remove(c.text(a[0], a[1]))))
	}},
	{"fs_mkdir", "ii", func(c *call, a []uint64) int64 {
		return failed(errnoOf(c.p.m.disk.mem.MakeDir(c.text(a[0], a[1]))))
	}},
	{"fs_list", "iiii", func(c *call, a []uint64) int64 {
		names, err := c.p.m.disk.mem.List(c.text(a[0], a[1]))
		if err != nil {
			return failed(errnoOf(err))
		}
		list := strings.Join(names, "\n")
		copy(c.bytes(a[2], a[3]), list)
		return int64(len(list))
	}},
	{"fs_finished", "", func(c *call, _ []uint64) int64 { return int64(c.p.add(c.p.finished)) }},
	{"net_listen", "ii", func(c *call, a []uint64) int64 {
		return int64(c.p.add(&listener{owner: c.p, addr: c.text(a[0], a[1])}))
	}},
	{"net_dial", "ii", func(c *call, a []uint64) int64 { return int64(c.p.add(c.p.dial(c.text(a[0], a[1])))) }},
	{"net_peer", "iii", func(c *call, a []uint64) int64 {
		k, isConn := c.p.fds[int32(a[0])].(*conn)
		if !isConn {
			return failed(errBadFile)
		}
		return int64(copy(c.bytes(a[1], a[2]), k.target))
	}},
	{"applied", "lllii", func(c *call, a []uint64) int64 {
		if c.p.w.applied != nil {
			c.p.w.applied(c.p, a[0], a[1], a[2], c.bytes(a[3], a[4]))
		}
		return 0
	}},
	{"leads", "ll", func(c *call, a []uint64) int64 {
		if c.p.w.leads != nil {
			c.p.w.leads(c.p, a[0], a[1])
		}
		return 0
	}},
	{"record", "ii", func(c *call, a []uint64) int64 {
		if c.p.w.recorded != nil {
			c.p.w.recorded(c.p, c.bytes(a[0], a[1]))
		}
		return 0
	}},
}
