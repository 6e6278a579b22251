package main

import (
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/internal/contract"
)

func TestOpenAPI(t *testing.T) {
	contract.CheckAPI(t, "order", func(api huma.API) { routes(api, nil, "") })
}
