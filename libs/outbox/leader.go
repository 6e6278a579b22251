package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
)

// leadership sees to it that one relay works at a time, whatever number of processes runs one.
type leadership interface {
	// acquire asks for the right to work on one batch. release gives it back, or keeps it for the next.
	acquire(ctx context.Context) (release func(), ours bool, err error)
	// valid tells whether the right that acquire gave is still there.
	valid() bool
	// resign lets others take over at once.
	resign()
}

func newLeadership(db *sqldb.DB) leadership {
	if db.Dialect == sqldb.Postgres {
		return &advisoryLock{db: db}
	}
	return &lease{db: db, holder: stream.NewID(), now: time.Now}
}

// relayLockID is the key of PostgreSQL's advisory lock; with hashtext of the schema it is one lock per service.
const relayLockID = 0x6f757462 // "outb"

// advisoryLock is PostgreSQL's own lock, held on one connection for one batch. It goes with that connection, so there is no clock
// that two machines would have to agree on.
type advisoryLock struct{ db *sqldb.DB }

func (l *advisoryLock) acquire(ctx context.Context) (release func(), ours bool, err error) {
	conn, err := l.db.Writer.Conn(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("outbox: lock: %w", err)
	}
	row := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, relayLockID)
	if err := row.Scan(&ours); err != nil || !ours {
		_ = conn.Close()
		if err != nil {
			err = fmt.Errorf("outbox: lock: %w", err)
		}
		return nil, false, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, hashtext(current_schema()))`, relayLockID); err != nil {
			// A connection that may still hold the lock must not go back to the pool.
			_ = conn.Raw(func(any) error { return sql.ErrConnDone })
		}
		_ = conn.Close()
	}, true, nil
}

func (*advisoryLock) valid() bool { return true }
func (*advisoryLock) resign()     {}

// lease is a row with a time on it. It is for SQLite, whose file and processes are on one machine and so have one clock.
type lease struct {
	db     *sqldb.DB
	holder string
	now    func() time.Time
	until  time.Time
}

func (l *lease) acquire(ctx context.Context) (release func(), ours bool, err error) {
	now := l.now()
	if l.until.Sub(now) > leaseTime/2 {
		return func() {}, true, nil
	}
	until := now.Add(leaseTime)
	res, err := l.db.Writer.ExecContext(ctx, `
		INSERT INTO outbox_lease (name, holder, until_ms) VALUES ('relay', ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
		WHERE outbox_lease.holder = excluded.holder OR outbox_lease.until_ms < ?`, l.holder, until.UnixMilli(), now.UnixMilli())
	if err != nil {
		return nil, false, fmt.Errorf("outbox: lease: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return nil, false, err
	}
	l.until = until
	return func() {}, true, nil
}

func (l *lease) valid() bool { return l.now().Before(l.until) }

func (l *lease) resign() {
	if !l.valid() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
	defer cancel()
	_, _ = l.db.Writer.ExecContext(ctx, `DELETE FROM outbox_lease WHERE holder = ?`, l.holder) // it runs out anyway
}
