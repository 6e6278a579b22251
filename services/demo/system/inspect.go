package system

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const inspectTimeout = 2 * time.Second

// Fields of /proc/<pid>/stat, counted from the one behind the name.
const (
	statState   = 0
	statThreads = 17
)

// inspect tells which program a process runs and since when. ok is false when it has ended, though its parent may not have
// noticed yet.
func inspect(pid int) (program string, started time.Time, ok bool) {
	proc := "/proc/" + strconv.Itoa(pid)
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		return inspectPS(pid)
	}
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return "", time.Time{}, false
	}
	// The second field is the name in brackets and may hold anything; the third is the state.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	fields := strings.Fields(string(rest))
	if len(fields) <= statThreads || fields[statState] == "X" {
		return "", time.Time{}, false
	}
	// The first thread of a killed process may be gone before the others, and its ports are taken until the last one is.
	if fields[statState] == "Z" && (fields[statThreads] == "0" || fields[statThreads] == "1") {
		return "", time.Time{}, false
	}
	program, err = os.Readlink(proc + "/exe")
	if fields[statState] == "Z" {
		program, err = string(stat[bytes.IndexByte(stat, '(')+1:bytes.LastIndexByte(stat, ')')]), nil // a zombie has no exe
	}
	if err != nil {
		return "", time.Time{}, false
	}
	info, err := os.Stat(proc)
	if err != nil {
		return "", time.Time{}, false
	}
	// A binary that was built anew while it ran.
	return strings.TrimSuffix(program, " (deleted)"), info.ModTime(), true
}

// inspectPS is for systems without /proc.
func inspectPS(pid int) (program string, started time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), inspectTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "state=,lstart=,comm=", "-p", strconv.Itoa(pid)).Output()
	fields := strings.Fields(string(out)) // S Mon Jan 2 15:04:05 2006 /path/to/program
	if err != nil || len(fields) < 7 || strings.HasPrefix(fields[0], "Z") {
		return "", time.Time{}, false
	}
	started, err = time.ParseInLocation("Mon Jan 2 15:04:05 2006", strings.Join(fields[1:6], " "), time.Local)
	return strings.Join(fields[6:], " "), started, err == nil
}
