//! A product: a named set of repositories given to users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch,
    gate::{Gate, Level},
    id::KeyId,
};

/// `POST /api/v1/products`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateProduct {
    /// Its name, such as `seed-1`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Binary repositories, such as `BaseOS`; the first is where new packages go. `debug` and `source` are made beside them.
    pub repositories: Vec<String>,
    /// Architectures.
    #[schema(value_type = Vec<String>)]
    pub architectures: Vec<Arch>,
    /// Release a green build without asking a person.
    #[serde(default)]
    pub automatic: bool,
    /// How strict the gates of its releases are, where that is not the usual level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Level>)]
    pub gates: BTreeMap<Gate, Level>,
}

/// A product as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// As it was made.
    #[serde(flatten)]
    pub product: CreateProduct,
    /// The key that signs it; none until the Sign Server has made it.
    pub key: Option<KeyId>,
}
