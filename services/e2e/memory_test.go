package e2e

import (
	"fmt"
	"os"
	"strings"
)

// rss is the resident memory of all processes in bytes, 0 where there is no /proc.
func (r run) rss() (sum int64) {
	for _, name := range r.Running() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID(name)))
		if err != nil {
			return 0
		}
		for line := range strings.Lines(string(status)) {
			var kib int64
			if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
				sum += kib << 10
			}
		}
	}
	return sum
}
