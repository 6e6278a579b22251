module github.com/warren-mq/warren/services/e2e

go 1.26.0
