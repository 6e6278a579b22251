// Package conformance compares the broker with RabbitMQ, frame by frame. Its tests hold
// conversations in raw protocol (testdata/conversations), each with the answers that a
// real RabbitMQ gave when they were recorded, and talk them again: with a node in the
// test's process, or with any broker that ORACLE_URL (amqp://…) and ORACLE_HTTP
// (http://host:port of the management API) name.
//
// A file is a list of rows:
//
//	== a name
//	on 3 w                    which brokers it is for: RabbitMQ 3, RabbitMQ 4, ours (w);
//	                          default all
//	manual                    the runner opens and answers nothing by itself
//	why one sentence          the reason of an intended difference: required with "<w"
//	# a comment
//	> c1 1 queue.declare queue=@q durable x-message-ttl:int=1000
//	< c1 1 queue.declare-ok queue=@q
//	>+2s c1 hex 00 01         a step whose answer takes so long
//	<3 c1 closed              the answer of RabbitMQ 3, if it is another than that of 4
//	<w -                      ours, if it is meant to be another: here none
//
// A step names a connection, a channel and a method with its arguments; flags that are
// set stand alone, zero values are left out, entries of a table have the form
// key:type=value. basic.publish takes properties, headers (as table entries) and body in
// the same line. Other steps are dial, greet (dial, header,
// connection.start), open, drop, hex, frame, method (without content),
// header, body, and http. "@" stands for a prefix of the row's own, so that rows do not meet;
// {{x*300}} for a repetition; amq.gen-#1 for the first name that the broker made up.
package conformance
