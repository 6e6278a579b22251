package auth

import (
	"fmt"
	"sync"
	"testing"
)

func TestHashAndVerify(t *testing.T) {
	for _, a := range []Algorithm{SHA256, SHA512, MD5, ""} {
		t.Run(string(a), func(t *testing.T) {
			for _, password := range []string{"guest", "", "pässwörd", "with\x00nul"} {
				h, err := Hash(a, password)
				if err != nil {
					t.Fatal(err)
				}
				if err := CheckHash(a, h); err != nil {
					t.Error(err)
				}
				if !Verify(a, h, password) {
					t.Errorf("%q is refused", password)
				}
				if Verify(a, h, password+"x") || Verify("other", h, password) {
					t.Errorf("%q: a wrong one is accepted", password)
				}
				if again, _ := Hash(a, password); again == h {
					t.Error("two hashes have one salt")
				}
			}
		})
	}
}

// TestKnownHash has the example that RabbitMQ's documentation works out by hand: salt
// 908DC60A and password test12.
func TestKnownHash(t *testing.T) {
	const hash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
	if !Verify(SHA256, hash, "test12") || Verify(SHA256, hash, "test13") {
		t.Error("the known hash does not fit")
	}
}

func TestBadHashes(t *testing.T) {
	for _, h := range []string{"", "AAAA", "not base64!", "AAAAAAAA"} {
		if Verify(SHA256, h, "") || Verify(SHA256, h, "x") {
			t.Errorf("%q lets somebody in", h)
		}
		if err := CheckHash(SHA256, h); (err == nil) != (h == "") {
			t.Errorf("CheckHash(%q) = %v", h, err)
		}
	}
	if _, err := Hash("rot13", "x"); err == nil {
		t.Error("an unknown algorithm hashes")
	}
	if CheckHash("rot13", "") == nil {
		t.Error("an unknown algorithm passes")
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{".*", "anything", true},
		{"", "anything", false},
		{"", "", true}, // an empty routing key
		{"^$", "anything", false},
		{"^orders", "orders.eu", true},
		{"^orders", "my.orders", false},
		{"orders", "my.orders.eu", true},
		{"^(a|b)$", "a", true},
		{"^(?!secret).", "public", true},
		{"^(?!secret).", "secret.plans", false},
		{"(", "anything", false},
	}
	var p Patterns
	for range 2 { // compiled, then kept
		for _, tt := range tests {
			if got := p.Match(tt.pattern, tt.name); got != tt.want {
				t.Errorf("Match(%q, %q) = %t", tt.pattern, tt.name, got)
			}
		}
	}
}

func TestPatternsFromManyGoroutines(t *testing.T) {
	var p Patterns
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range patternsMax {
				if !p.Match(fmt.Sprintf("^n%d-", i), fmt.Sprintf("n%d-%d", i, g)) {
					t.Error("no match")
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkMatch(b *testing.B) {
	var p Patterns
	for b.Loop() {
		if !p.Match("^orders\\.", "orders.eu") {
			b.Fatal("no match")
		}
	}
}
