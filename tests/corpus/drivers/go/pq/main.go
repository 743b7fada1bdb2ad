// lib/pq by database/sql: plain and prepared queries, arrays, transactions, binary parameters.
package main

import (
	"context"
	"database/sql"
	"os"

	"github.com/lib/pq"
	corpus "pgwarden.invalid/corpus"
)

func main() {
	corpus.Print("github.com/lib/pq")
	url := os.Getenv("DATABASE_URL") + "?sslmode=disable"
	for _, options := range []string{"", "&binary_parameters=yes&application_name=report&statement_timeout=30000&search_path=public"} {
		db, err := sql.Open("postgres", url+options)
		corpus.Must(err)
		db.SetMaxOpenConns(1)
		read(db)
		corpus.Must(db.Close())
	}
}

func read(db *sql.DB) {
	ctx := context.Background()
	corpus.Must(db.Ping())
	corpus.Must(db.QueryRow("SELECT count(*) FROM orders").Scan(new(int64)))
	corpus.Must(db.QueryRow("SELECT name FROM customers WHERE id = $1", 1).Scan(new(string)))
	corpus.Must(db.QueryRow("SELECT count(*) FROM orders WHERE id = ANY($1)", pq.Array([]int64{1, 2})).Scan(new(int64)))
	_, err := db.Exec("SELECT 1; SELECT 2")
	corpus.Must(err)
	statement, err := db.Prepare("SELECT name FROM products WHERE id = $1")
	corpus.Must(err)
	corpus.Must(statement.QueryRow(1).Scan(new(string)))
	corpus.Must(statement.Close())
	for _, level := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelRepeatableRead, sql.LevelSerializable} {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: true})
		corpus.Must(err)
		corpus.Must(tx.QueryRow("SELECT count(*) FROM products").Scan(new(int64)))
		corpus.Must(tx.Commit())
	}
	tx, err := db.Begin()
	corpus.Must(err)
	corpus.Must(tx.Rollback())
}
