package stream

import (
	"fmt"
	"math"
	"unicode/utf16"

	"github.com/google/uuid"
)

// partition is the index that a message goes to.
func (p ProducerProperties) partition(m Raw, headers Headers) (int, error) {
	if i, ok := headers.Int(HeaderPartitionOverride); ok {
		if i < 0 || i >= int64(p.PartitionCount) {
			return 0, fmt.Errorf("header %s is %d, there are %d partitions", HeaderPartitionOverride, i, p.PartitionCount)
		}
		return int(i), nil
	}
	key := p.PartitionKey(m)
	if err, ok := key.(error); ok {
		return 0, err
	}
	if p.PartitionSelector == nil {
		return Partition(key, p.PartitionCount)
	}
	i, err := p.PartitionSelector(key)
	if err != nil {
		return 0, err
	}
	i %= p.PartitionCount
	return max(i, -i), nil
}

// Partition returns the partition of a key, the same one that Spring chooses: |hashCode| modulo count. Keys may be string,
// int32, int, int64, bool, float64 or uuid.UUID.
func Partition(key any, count int) (int, error) {
	h, err := javaHash(key)
	if err != nil {
		return 0, err
	}
	if h == math.MinInt32 {
		h = 0 // Java's Math.abs has no positive twin for it
	}
	if h < 0 {
		h = -h
	}
	return int(h) % count, nil
}

// javaHash is Object.hashCode of the Java value that the key is on the other side.
func javaHash(key any) (int32, error) {
	switch v := key.(type) {
	case string:
		var h int32
		for _, unit := range utf16.Encode([]rune(v)) {
			h = 31*h + int32(unit)
		}
		return h, nil
	case int32:
		return v, nil
	case int:
		if v >= math.MinInt32 && v <= math.MaxInt32 {
			return int32(v), nil // an Integer there
		}
		return fold(uint64(v)), nil
	case int64:
		return fold(uint64(v)), nil
	case bool:
		if v {
			return 1231, nil
		}
		return 1237, nil
	case float64:
		return fold(math.Float64bits(v)), nil
	case uuid.UUID:
		var hilo uint64
		for i := range 8 {
			hilo = hilo<<8 | uint64(v[i]^v[i+8])
		}
		return fold(hilo), nil
	}
	return 0, fmt.Errorf("stream: %T cannot be a partition key", key)
}

func fold(v uint64) int32 { return int32(uint32(v ^ v>>32)) }
