package main

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// size is a number of bytes: 1048576, 1024k, 512MiB, 2GB. As RabbitMQ has it, k, M and G
// are powers of 1024, as kiB, MiB and GiB are; kB, MB and GB are powers of 1000.
type size uint64

var units = map[string]uint64{
	"": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 1e3, "m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
}

// UnmarshalText reads a size.
func (s *size) UnmarshalText(b []byte) error {
	text := string(b)
	number := strings.TrimRight(text, "kKmMgGiIbB")
	unit, known := units[strings.ToLower(text[len(number):])]
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !known {
		return fmt.Errorf("%q is no size: want a number and k, M, G, kiB, MiB, GiB, kB, MB, GB or nothing", text)
	}
	hi, lo := bits.Mul64(n, unit)
	if hi > 0 {
		return fmt.Errorf("%q is too large", text)
	}
	*s = size(lo)
	return nil
}
