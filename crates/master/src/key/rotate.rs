//! Another key takes the place of a product's: the old one stays to verify what it signed, and signs nothing new.

use anima_db::Write;
use anima_types::{
    id::KeyId,
    key::{CreateKey, Event, Key, RotateKey, Status, next},
    product::Product,
};

use super::{api::key_of, ask, check};
use crate::error::{ApiError, ApiResult};

/// Keys of one product at most: one a year is many.
const MAX_KEYS: usize = 100;

/// Asks for another key, and gives it to the product at once: what is signed from now on waits for it.
pub async fn rotate(write: &mut Write, product: &Product, wanted: &RotateKey) -> ApiResult<KeyId> {
    let name = &product.product.name;
    let old = anima_db::key::get(write, key_of(product)?).await?;
    if old.status == Status::Asked {
        let message = format!("product {name} has been given key {}, which is not made yet", old.key.name);
        return Err(ApiError::conflict("rotates_already", message));
    }
    let wanted = CreateKey {
        name: match &wanted.name {
            Some(name) => name.clone(),
            None => free_name(write, name).await?,
        },
        algorithm: wanted.algorithm.unwrap_or(old.key.algorithm),
        user_id: wanted.user_id.clone().unwrap_or_else(|| old.key.user_id.clone()),
        options: wanted.options.clone(),
    };
    check(&wanted)?;
    let new = ask(write, &wanted, &old.policy).await?;
    let message =
        format!("Product {name} is signed with key {} from now on; before, with {}.", wanted.name, old.key.name);
    anima_db::product::set_key(write, name, new, &message).await?;
    retire(write, &old).await?;
    plan_again(write, name).await?;
    Ok(new)
}

/// Retires a key that no product has any more.
async fn retire(write: &mut Write, old: &Key) -> ApiResult<()> {
    let is_used = anima_db::product::list(write).await?.iter().any(|product| product.key == Some(old.id));
    if !is_used && next(old.status, Event::Rotated).is_some() {
        let message = format!("Key {} is retired: what it signed stays good.", old.key.name);
        anima_db::key::apply(write, old, Event::Rotated, &message).await?;
    }
    Ok(())
}

/// Plans that wait, and what is being made of them, name packages with the old signature: they are made anew with the new one.
async fn plan_again(write: &mut Write, product: &str) -> ApiResult<()> {
    for release in anima_db::release::list_open(write).await? {
        if release.product == product {
            crate::release::replan_for_key(write, &release).await?;
        }
    }
    Ok(())
}

async fn free_name(write: &mut Write, product: &str) -> ApiResult<String> {
    let base = product.to_ascii_lowercase();
    for number in 2..MAX_KEYS {
        let name = format!("{base}-key{number}");
        if anima_db::key::find(write, &name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(ApiError::conflict("too_many_keys", format!("product {product} had {MAX_KEYS} keys")).hint("Give a name."))
}
