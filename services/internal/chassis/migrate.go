package chassis

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/warren-mq/warren/libs/sqldb"
)

// migrate brings the tables of a service up to date. The files hold SQL that both databases understand.
func migrate(ctx context.Context, db *sqldb.DB, files fs.FS) error {
	p, err := goose.NewProvider(goose.Dialect(db.Dialect), db.Writer, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}
