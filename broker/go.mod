module github.com/warren-mq/warren/broker

go 1.26.0
