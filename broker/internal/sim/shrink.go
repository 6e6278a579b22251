package sim

import (
	"context"
	"io"
	"slices"
)

// Shrink returns a failed run with fewer faults: none of them can be left out, or all is
// well.
func Shrink(ctx context.Context, p *Program, failed Result) Result {
	for i := 0; i < len(failed.Only) && ctx.Err() == nil; {
		fewer := slices.Delete(slices.Clone(failed.Only), i, i+1)
		if r := Run(ctx, p, failed.Seed, fewer, io.Discard); len(r.Wrong) > 0 {
			failed, i = r, 0
		} else {
			i++
		}
	}
	return failed
}
