//! sqlx: queries of both protocols, streams, transactions, its look-up of types, `migrate info`.
use futures_util::TryStreamExt;
use sqlx::migrate::Migrate;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Acquire, Connection, Executor, Row, SqlSafeStr};

#[derive(sqlx::Type)]
#[sqlx(type_name = "order_status", rename_all = "lowercase")]
enum Status {
    New,
    Paid,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("version 0.9.0");
    let options: PgConnectOptions = std::env::var("DATABASE_URL")?.parse()?;
    let options = options.application_name("report").options([("statement_timeout", "30s")]);
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
    sqlx::query("SELECT id, name FROM customers WHERE country = $1 AND id > $2").bind("DE").bind(10i64).fetch_all(&pool).await?;
    sqlx::query_scalar::<_, i64>("SELECT count(*) FROM orders").fetch_one(&pool).await?;
    sqlx::query("SELECT id FROM orders WHERE id = ANY($1)").bind(vec![1i64, 2]).fetch_all(&pool).await?;
    sqlx::query("SELECT count(*) FROM orders WHERE status IN ($1, $2)").bind(Status::New).bind(Status::Paid).fetch_one(&pool).await?;
    sqlx::query("SELECT status, place, spans, '0150'::postcode FROM orders, warehouse.shelves LIMIT 2").fetch_all(&pool).await?;
    sqlx::raw_sql("SELECT 1; SELECT 2").execute(&pool).await?;
    let mut rows = sqlx::query("SELECT id FROM orders").persistent(false).fetch(&pool);
    while let Some(row) = rows.try_next().await? {
        row.try_get::<i64, _>(0)?;
    }
    drop(rows);
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    (&mut *connection).prepare("SELECT name, note FROM customers, orders WHERE customers.id = $1".into_sql_str()).await?;
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT 1").execute(&mut *transaction).await?;
    transaction.begin().await?.rollback().await?;
    transaction.begin().await?.commit().await?;
    transaction.commit().await?;
    connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?.rollback().await?;
    connection.dirty_version("_sqlx_migrations").await.ok();
    connection.list_applied_migrations("_sqlx_migrations").await.ok();
    connection.clear_cached_statements().await?;
    drop(connection);
    pool.close().await;
    Ok(())
}
