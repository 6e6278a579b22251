package e2e

// rss is the resident memory of all processes in bytes, 0 where there is no /proc.
func (r run) rss() (sum int64) {
	for _, name := range r.Running() {
		sum += r.RSS(name)
	}
	return sum
}
