// Package interop lets clients of other languages talk to a node: they publish, consume,
// wait for confirms, and do it again over TLS. The clients are scripts beside this file.
// They need programs that a machine may lack, so the test is behind the tag interop:
//
//	make interop
package interop
