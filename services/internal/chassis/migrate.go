package chassis

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
)

// Migrate brings the tables of a service up to date, those of outbox and inbox included. The files hold SQL that both databases understand.
func Migrate(ctx context.Context, db *sqldb.DB, files fs.FS) error {
	p, err := goose.NewProvider(goose.Dialect(db.Dialect), db.Writer, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return outbox.Migrate(ctx, db)
}
