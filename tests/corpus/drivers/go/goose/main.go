// goose: `status` and `version`.
package main

import (
	"context"
	"database/sql"
	"os"
	"testing/fstest"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	corpus "pgwarden.invalid/corpus"
)

func main() {
	corpus.Print("github.com/pressly/goose/v3")
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	corpus.Must(err)
	text := []byte("-- +goose Up\nSELECT 1;\n")
	files := fstest.MapFS{"1_first.sql": {Data: text}, "2_second.sql": {Data: text}}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	corpus.Must(err)
	ctx := context.Background()
	_, err = provider.Status(ctx)
	corpus.Must(err)
	_, err = provider.GetDBVersion(ctx)
	corpus.Must(err)
	_, err = provider.HasPending(ctx)
	corpus.Must(err)
	goose.SetBaseFS(files)
	goose.SetLogger(goose.NopLogger())
	corpus.Must(goose.SetDialect("postgres"))
	corpus.Must(goose.Status(db, "."))
	corpus.Must(goose.Version(db, "."))
}
