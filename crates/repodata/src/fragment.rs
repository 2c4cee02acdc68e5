//! One package's part of the three metadata files, as it travels and is kept.

use anima_types::{Nevra, Sha256};
use serde::{Deserialize, Serialize};

use crate::{Error, Package, PrimaryReader, Result, render::location_element};

/// A package's rendered metadata, and what is needed to order and place it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PackageXml {
    /// The package.
    pub nevra: Nevra,
    /// The digest of its file, by which metadata knows it.
    pub sha256: Sha256,
    /// Where it lies, relative to the repository.
    pub location: String,
    /// Its element of `primary.xml`.
    pub primary: String,
    /// Its element of `filelists.xml`.
    pub filelists: String,
    /// Its element of `other.xml`.
    pub other: String,
}

impl PackageXml {
    /// Returns the same package at another place.
    pub fn with_location(&self, location: &str) -> PackageXml {
        let old = location_element(&self.location);
        // Text cannot hold this: its angle brackets are escaped.
        let primary = self.primary.replacen(&old, &location_element(location), 1);
        PackageXml { location: location.to_string(), primary, ..self.clone() }
    }

    /// Returns what the primary part says.
    pub fn package(&self) -> Result<Package> {
        const NAME: &str = "a package's metadata";
        let document = format!("<metadata>{}</metadata>", self.primary);
        let mut packages = PrimaryReader::new(document.as_bytes(), NAME);
        match (packages.next(), packages.next()) {
            (Some(package), None) => package,
            _ => Err(Error::malformed(NAME, "it is not one package")),
        }
    }

    /// Checks a fragment that came from elsewhere: it must be one package, and the one it claims to be.
    pub fn check(&self) -> Result<()> {
        let name = format!("the metadata of {}", self.nevra);
        let package = self.package()?;
        if package.nevra != self.nevra
            || package.checksum.hex != self.sha256.to_string()
            || package.location != self.location
        {
            return Err(Error::malformed(&name, "its parts name different packages"));
        }
        let id = format!("<package pkgid=\"{}\" ", self.sha256);
        for part in [&self.filelists, &self.other] {
            let ends = part.matches("</package>").count() == 1 && part.trim_end().ends_with("</package>");
            if !part.starts_with(&id) || !ends || part.matches("<package ").count() != 1 {
                return Err(Error::malformed(&name, "its parts name different packages"));
            }
        }
        Ok(())
    }
}
