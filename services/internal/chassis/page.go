package chassis

import (
	"context"
	"encoding/base64"

	"github.com/danielgtaylor/huma/v2"
)

// PageInput selects a page of a list.
type PageInput struct {
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"200" doc:"Entries on a page"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
}

// PageOutput is a page of a list.
type PageOutput[T any] struct {
	Body struct {
		Items      []T    `json:"items"`
		NextCursor string `json:"next_cursor,omitempty" doc:"Missing on the last page"`
	}
}

// Page answers a list request. list returns at most limit entries that come after the key; key names an entry.
func Page[E, T any](ctx context.Context, in *PageInput, list func(ctx context.Context, after string, limit int) ([]E, error),
	body func(E) T, key func(E) string,
) (*PageOutput[T], error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("the cursor is not one that this list gave", &huma.ErrorDetail{
			Message: "use next_cursor of the page before as it is", Location: "query.cursor", Value: in.Cursor,
		})
	}
	found, err := list(ctx, string(after), in.Limit+1) // one more tells whether there is another page
	if err != nil {
		return nil, err
	}
	out := &PageOutput[T]{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(key(found[in.Limit-1])))
	}
	out.Body.Items = make([]T, 0, len(found))
	for _, e := range found {
		out.Body.Items = append(out.Body.Items, body(e))
	}
	return out, nil
}
