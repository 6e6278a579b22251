package system

import (
	"fmt"
	"os"
	"strings"
)

// RSS is the resident memory of a process in bytes, 0 when it does not run or where there is no /proc.
func (s *System) RSS(name string) (bytes int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID(name)))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
