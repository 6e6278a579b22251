package sqldb

import (
	"context"
	"database/sql/driver"

	"modernc.org/sqlite"
)

// statementsMax is how many statements a connection keeps prepared. A service has some dozens.
const statementsMax = 128

// connector opens SQLite connections that keep their statements. Without it every execution parses and plans its SQL again, which
// was a fifth of a service's work under load; on PostgreSQL pgx does the same by itself.
type connector struct{ dsn string }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	open, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &conn{sqliteConn: open.(sqliteConn), free: map[string]driver.Stmt{}}, nil
}

func (connector) Driver() driver.Driver { return &sqlite.Driver{} }

// sqliteConn is what SQLite's connection can do and database/sql asks for.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn keeps the statements that have run on it. database/sql uses a connection from one goroutine at a time.
type conn struct {
	sqliteConn
	free map[string]driver.Stmt // by their SQL; one that runs is not among them
}

// take returns a statement that nobody else uses: an outer query may still read its rows.
func (c *conn) take(ctx context.Context, query string) (driver.Stmt, error) {
	if s, ok := c.free[query]; ok {
		delete(c.free, query)
		return s, nil
	}
	return c.PrepareContext(ctx, query)
}

// giveBack keeps a statement for the next time. If there are too many, any other one has to go.
func (c *conn) giveBack(query string, s driver.Stmt) (err error) {
	if _, ok := c.free[query]; ok {
		return s.Close()
	}
	if len(c.free) >= statementsMax {
		for other, old := range c.free {
			delete(c.free, other)
			err = old.Close()
			break
		}
	}
	c.free[query] = s
	return err
}

// ExecContext runs a statement. Without arguments it may be several in one text, which can't be prepared as one.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(ctx, args)
	if closeErr := c.giveBack(query, s); err == nil {
		err = closeErr
	}
	return res, err
}

// QueryContext runs a query, whose statement is free again when its rows are closed.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		_ = c.giveBack(query, s) // err says more
		return nil, err
	}
	return &rows{Rows: r, c: c, query: query, s: s}, nil
}

// Close closes the connection and what it has kept.
func (c *conn) Close() error {
	for _, s := range c.free {
		_ = s.Close() // the connection says what is wrong
	}
	return c.sqliteConn.Close()
}

type rows struct {
	driver.Rows
	c     *conn
	query string
	s     driver.Stmt // nil when closed
}

func (r *rows) Close() error {
	err := r.Rows.Close()
	if r.s != nil {
		if closeErr := r.c.giveBack(r.query, r.s); err == nil {
			err = closeErr
		}
		r.s = nil
	}
	return err
}
