// pgx: each query mode, batches, pipelines, COPY, types, transactions, pgxpool, database/sql.
package main

import (
	"context"
	"database/sql"
	"io"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	corpus "pgwarden.invalid/corpus"
)

var url = os.Getenv("DATABASE_URL")

func main() {
	corpus.Print("github.com/jackc/pgx/v5")
	ctx := context.Background()
	config, err := pgx.ParseConfig(url)
	corpus.Must(err)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement,
		pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec,
		pgx.QueryExecModeSimpleProtocol,
	} {
		config.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(ctx, config)
		corpus.Must(err)
		read(ctx, conn)
		corpus.Must(conn.Close(ctx))
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	config.RuntimeParams = map[string]string{
		"application_name": "report", "search_path": "public,warehouse", "timezone": "UTC",
		"default_transaction_read_only": "on", "statement_timeout": "30s",
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	corpus.Must(err)
	more(ctx, conn)
	corpus.Must(conn.Close(ctx))

	pool, err := pgxpool.New(ctx, url)
	corpus.Must(err)
	corpus.Must(pool.Ping(ctx))
	corpus.Must(pool.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(new(int64)))
	pool.Close()

	db, err := sql.Open("pgx", url)
	corpus.Must(err)
	corpus.Must(db.Ping())
	corpus.Must(db.QueryRow("SELECT name FROM customers WHERE id = $1", 1).Scan(new(string)))
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	corpus.Must(err)
	corpus.Must(tx.QueryRow("SELECT count(*) FROM products").Scan(new(int64)))
	corpus.Must(tx.Commit())
	corpus.Must(db.Close())
}

func read(ctx context.Context, conn *pgx.Conn) {
	drain := func(rows pgx.Rows, err error) {
		corpus.Must(err)
		for rows.Next() {
		}
		corpus.Must(rows.Err())
	}
	drain(conn.Query(ctx, "SELECT id, name FROM customers WHERE country = $1 AND id > $2", "DE", 10))
	drain(conn.Query(ctx, "SELECT count(*) FROM orders"))
	drain(conn.Query(ctx, "SELECT placed_at, note FROM orders WHERE id = ANY($1)", []int64{1, 2}))
	corpus.Must(conn.Ping(ctx))
}

func more(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Prepare(ctx, "by-id", "SELECT name FROM customers WHERE id = $1")
	corpus.Must(err)
	corpus.Must(conn.QueryRow(ctx, "by-id", 1).Scan(new(string)))
	corpus.Must(conn.Deallocate(ctx, "by-id"))
	for _, name := range []string{"order_status", "postcode", "address", "price_range", "_order_status"} {
		kind, err := conn.LoadType(ctx, name)
		corpus.Must(err)
		conn.TypeMap().RegisterType(kind)
	}
	_, err = conn.LoadTypes(ctx, []string{"order_status", "address"})
	corpus.Must(err)
	batch := &pgx.Batch{}
	batch.Queue("SELECT count(*) FROM customers")
	batch.Queue("SELECT name FROM products WHERE id = $1", 1)
	corpus.Must(conn.SendBatch(ctx, batch).Close())
	_, err = conn.PgConn().CopyTo(ctx, io.Discard, "COPY (SELECT id, name FROM customers) TO STDOUT (FORMAT csv)")
	corpus.Must(err)
	_, err = conn.PgConn().Exec(ctx, "SELECT 1; SELECT 2").ReadAll()
	corpus.Must(err)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{
		IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.NotDeferrable,
	})
	corpus.Must(err)
	inner, err := tx.Begin(ctx)
	corpus.Must(err)
	corpus.Must(inner.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(new(int64)))
	corpus.Must(inner.Commit(ctx))
	other, err := tx.Begin(ctx)
	corpus.Must(err)
	corpus.Must(other.Rollback(ctx))
	corpus.Must(tx.Rollback(ctx))
	_, err = conn.Exec(ctx, "SET TIME ZONE 'Europe/Oslo'")
	corpus.Must(err)
	corpus.Must(conn.DeallocateAll(ctx))
}
