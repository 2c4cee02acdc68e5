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
    pub architectures: Vec<Arch>,
    /// Release a green build without asking a person.
    #[serde(default)]
    pub automatic: bool,
    /// How strict the gates of its releases are, where that is not the usual level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Level>)]
    pub gates: BTreeMap<Gate, Level>,
    /// Whose it is, what it stands on, and what it may hold.
    #[serde(flatten)]
    pub options: Options,
}

/// What else a product says of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProductOptions)]
pub struct Options {
    /// The team that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The platforms whose repositories its packages may need, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Repositories of another distribution that tell where packages belong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// How many people have to say that a plan is good before it may go to users.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub approvals: u32,
    /// What it may hold.
    #[serde(default, skip_serializing_if = "Quota::is_empty")]
    pub quota: Quota,
}

/// A repository of another distribution.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// The repository of this product that it tells of, such as `AppStream`.
    pub repository: String,
    /// Its address, or a folder of the Release System's machine; `{arch}` stands for the architecture.
    pub url: String,
}

/// What a product may hold; what is not said is not bounded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// Packages, over all its repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<u64>,
    /// Bytes of their files, each counted once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Quota {
    /// Returns whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        *self == Quota::default()
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
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
