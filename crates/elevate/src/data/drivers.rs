//! Drivers and devices that a release no longer has.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::place::Source;
use crate::Result;

/// One file.
#[derive(Clone, Debug)]
pub struct Drivers {
    /// Its lines.
    pub entries: Vec<Driver>,
    /// The whole file.
    pub raw: Value,
}

/// A driver, a PCI device or a processor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Driver {
    /// `pci`, `cpu`, or `driver`.
    pub device_type: String,
    /// Which device; what it looks like depends on its type.
    #[serde(default)]
    pub device_id: String,
    /// What people call it.
    #[serde(default)]
    pub device_name: String,
    /// The kernel's module.
    #[serde(default)]
    pub driver_name: String,
    /// Major versions that have it.
    #[serde(default, alias = "available_in_rhel")]
    pub available_in: Vec<u32>,
    /// Major versions in which somebody keeps it up.
    #[serde(default, alias = "maintained_in_rhel")]
    pub maintained_in: Vec<u32>,
}

#[derive(Deserialize)]
struct FileForm<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

impl Drivers {
    /// Reads a file.
    pub fn parse(path: &Path, text: &str) -> Result<Drivers> {
        let source = Source::new(path, text);
        let form: FileForm<'_> = source.parse()?;
        let entries = form.data.into_iter().map(|piece| source.parse_piece(piece)).collect::<Result<_>>()?;
        Ok(Drivers { entries, raw: source.parse()? })
    }
}
