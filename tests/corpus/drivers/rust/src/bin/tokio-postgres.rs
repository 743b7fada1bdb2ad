//! tokio-postgres: prepared, typed and simple queries, portals, COPY, its look-up of types.
use futures_util::{pin_mut, TryStreamExt};
use tokio_postgres::{IsolationLevel, NoTls};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("version 0.7.18");
    let (mut client, connection) = tokio_postgres::connect(&std::env::var("DATABASE_URL")?, NoTls).await?;
    tokio::spawn(connection);
    client.query("SELECT id, name FROM customers WHERE country = $1 AND id > $2", &[&"DE", &10i64]).await?;
    client.query_one("SELECT count(*) FROM orders", &[]).await?;
    client.query("SELECT id FROM orders WHERE id = ANY($1)", &[&vec![1i64, 2]]).await?;
    client.query("SELECT status, '[1,2)'::price_range, place, spans FROM orders, warehouse.shelves LIMIT 2", &[]).await?;
    client.query("SELECT '0150'::postcode, ARRAY['new']::order_status[]", &[]).await?;
    client.query_typed("SELECT $1::text", &[(&"x", tokio_postgres::types::Type::TEXT)]).await?;
    client.simple_query("SELECT 1; SELECT 2").await?;
    client.batch_execute("SET TIME ZONE 'UTC'").await?;
    let rows = client.query_raw("SELECT id FROM orders WHERE id < $1", [50i64]).await?;
    pin_mut!(rows);
    while rows.try_next().await?.is_some() {}
    let copied = client.copy_out("COPY (SELECT id, name FROM customers) TO STDOUT (FORMAT binary)").await?;
    pin_mut!(copied);
    while copied.try_next().await?.is_some() {}

    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).deferrable(true);
    let mut transaction = builder.start().await?;
    let statement = transaction.prepare("SELECT id FROM orders").await?;
    let portal = transaction.bind(&statement, &[]).await?;
    transaction.query_portal(&portal, 10).await?;
    let inner = transaction.savepoint("here").await?;
    inner.query_one("SELECT 1", &[]).await?;
    inner.commit().await?;
    transaction.transaction().await?.rollback().await?;
    transaction.commit().await?;
    client.transaction().await?.rollback().await?;
    Ok(())
}
