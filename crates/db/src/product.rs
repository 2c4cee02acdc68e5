//! Products.

use anima_types::{
    id::KeyId,
    product::{CreateProduct, Product},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::{Columns, to_json},
};

/// Writes a product.
pub async fn insert(write: &mut Write, product: &CreateProduct, key: KeyId) -> Result<()> {
    sqlx::query(
        "INSERT INTO product (name, title, repositories, architectures, automatic, gates, options, key_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&product.name)
    .bind(&product.title)
    .bind(to_json("repositories", &product.repositories)?)
    .bind(to_json("architectures", &product.architectures)?)
    .bind(i64::from(product.automatic))
    .bind(to_json("gates", &product.gates)?)
    .bind(to_json("options", &product.options)?)
    .bind(key.0)
    .bind(write.now.0)
    .execute(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "product", &product.name))?;
    let message = format!("Product {} was made.", product.name);
    event::record(write, NewEvent { noun: "product", verb: "created", message, ..NewEvent::default() }).await?;
    insert_key(write, &product.name, key).await
}

/// Writes that a product is signed with another key from now on.
pub async fn set_key(write: &mut Write, product: &str, key: KeyId, message: &str) -> Result<()> {
    sqlx::query("UPDATE product SET key_id = $2 WHERE name = $1")
        .bind(product)
        .bind(key.0)
        .execute(&mut **write)
        .await?;
    let message = message.to_string();
    event::record(write, NewEvent { noun: "product", verb: "key", message, ..NewEvent::default() }).await?;
    insert_key(write, product, key).await
}

async fn insert_key(write: &mut Write, product: &str, key: KeyId) -> Result<()> {
    sqlx::query(
        "INSERT INTO product_key (product, key_id, since) VALUES ($1, $2, $3) ON CONFLICT (product, key_id) DO NOTHING",
    )
    .bind(product)
    .bind(key.0)
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Writes a product anew, as somebody wants it now.
pub async fn update(write: &mut Write, product: &CreateProduct) -> Result<()> {
    sqlx::query(
        "UPDATE product SET title = $2, repositories = $3, architectures = $4, automatic = $5, gates = $6, options = $7
         WHERE name = $1",
    )
    .bind(&product.name)
    .bind(&product.title)
    .bind(to_json("repositories", &product.repositories)?)
    .bind(to_json("architectures", &product.architectures)?)
    .bind(i64::from(product.automatic))
    .bind(to_json("gates", &product.gates)?)
    .bind(to_json("options", &product.options)?)
    .execute(&mut **write)
    .await?;
    let message = format!("Product {} was changed.", product.name);
    event::record(write, NewEvent { noun: "product", verb: "changed", message, ..NewEvent::default() }).await?;
    Ok(())
}

/// Returns a product.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Product> {
    find(connection, name).await?.ok_or_else(|| Error::missing("product", name))
}

/// Returns a product if there is one of that name.
pub async fn find(connection: &mut Connection, name: &str) -> Result<Option<Product>> {
    let row = sqlx::query("SELECT * FROM product WHERE name = $1").bind(name).fetch_optional(connection).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns all products.
pub async fn list(connection: &mut Connection) -> Result<Vec<Product>> {
    let rows = sqlx::query("SELECT * FROM product ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &AnyRow) -> Result<Product> {
    Ok(Product {
        product: CreateProduct {
            name: row.text("name")?,
            title: row.text("title")?,
            repositories: row.json("repositories")?,
            architectures: row.json("architectures")?,
            automatic: row.flag("automatic")?,
            gates: row.json("gates")?,
            options: row.json("options")?,
        },
        key: row.maybe_int("key_id")?.map(KeyId),
    })
}
