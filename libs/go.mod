module github.com/warren-mq/warren/libs

go 1.26.0
