package node

import (
	"math/rand/v2"
	"testing"
)

func TestLeadersFollowTheTraffic(t *testing.T) {
	all := []uint64{1, 2, 3}
	for _, c := range []struct {
		name      string
		groups    []groupWork
		group, to uint64
	}{
		{"nothing to do", nil, 0, 0},
		{"little traffic", []groupWork{{10, 1, all, 500}}, 0, 0},
		{"one busy group stays", []groupWork{{10, 1, all, 9000}, {11, 2, all, 10}, {12, 3, all, 0}}, 0, 0},
		{"one of two busy groups moves", []groupWork{{10, 1, all, 5000}, {11, 1, all, 4000}, {12, 2, all, 4500}}, 10, 3},
		{"not to a node without the group", []groupWork{{10, 1, all[:2], 5000}, {11, 1, all[:2], 4000}, {12, 2, all, 4500}}, 0, 0},
		{"even enough", []groupWork{{10, 1, all, 5000}, {11, 2, all, 4000}, {12, 3, all, 3000}}, 0, 0},
	} {
		if group, to := lighten(c.groups, 1000); group != c.group || to != c.to {
			t.Errorf("%s: group %d to %d, want %d to %d", c.name, group, to, c.group, c.to)
		}
	}
}

// However the work is spread, moves come to an end, and none makes the busiest busier.
func TestMovesOfLeadersEnd(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		groups := make([]groupWork, 1+r.IntN(40))
		for i := range groups {
			groups[i] = groupWork{uint64(i + 10), 1 + r.Uint64N(3), []uint64{1, 2, 3}, r.Uint64N(1 + r.Uint64N(100_000))}
		}
		busiest := func() uint64 {
			load := map[uint64]uint64{}
			for _, g := range groups {
				load[g.leader] += g.bytes
			}
			return max(load[1], load[2], load[3])
		}
		for moves := 0; ; moves++ {
			before := busiest()
			group, to := lighten(groups, 1)
			if group == 0 {
				break
			}
			groups[group-10].leader = to
			if busiest() > before || moves > 3*len(groups) {
				t.Fatalf("move %d of group %d to %d: %v", moves, group, to, groups)
			}
		}
	}
}
