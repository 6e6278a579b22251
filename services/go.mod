module github.com/warren-mq/warren/services

go 1.26.0
