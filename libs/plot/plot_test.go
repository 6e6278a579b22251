package plot

import "testing"

func TestRoundUp(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.1: 2, 23: 50, 51: 100, 999: 1000, 1000: 1000} {
		if got := roundUp(v); got != want {
			t.Errorf("roundUp(%g) = %g, want %g", v, got, want)
		}
	}
}
