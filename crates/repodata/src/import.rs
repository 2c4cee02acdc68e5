//! Fragments out of metadata that others made, so that their packages can be put into repositories of ours without their
//! files being read.

use std::{collections::BTreeMap, io::Read};

use crate::{Error, PackageXml, Part, PrimaryReader, Repository, Result, part::elements, xml::attribute};

impl Repository {
    /// Returns all packages as fragments, in the order of `primary`. Where another file lacks a package, or the index lacks
    /// the file, the package's part of it is empty. All is in memory at once.
    pub fn read_fragments(&self) -> Result<Vec<PackageXml>> {
        let primary = self.text(Part::Primary)?.ok_or_else(|| Error::NoRecord { kind: "primary".to_string() })?;
        let (filelists, other) = (self.text(Part::Filelists)?, self.text(Part::Other)?);
        let filelists = by_id(Part::Filelists, filelists.as_deref().unwrap_or_default());
        let other = by_id(Part::Other, other.as_deref().unwrap_or_default());
        let own = elements(&primary).into_iter().filter_map(element);
        own.map(|element| fragment(element, &filelists, &other)).collect()
    }

    fn text(&self, part: Part) -> Result<Option<String>> {
        let Ok(record) = self.repomd.record(part.kind()) else { return Ok(None) };
        let mut text = String::new();
        self.open_record(record)?.read_to_string(&mut text).map_err(|source| Error::Stream {
            action: "unpack",
            name: record.location.clone(),
            source,
        })?;
        Ok(Some(text))
    }
}

/// Cuts off what stands before the first package, and leaves out what stands after the last.
fn element(text: &str) -> Option<&str> {
    let element = &text[text.find("<package ")?..];
    element.ends_with("</package>").then_some(element)
}

fn by_id(part: Part, text: &str) -> BTreeMap<&str, &str> {
    let packages = elements(text).into_iter().filter_map(element);
    packages.filter_map(|element| Some((part.key(element)?.1, element))).collect()
}

fn fragment(primary: &str, filelists: &BTreeMap<&str, &str>, other: &BTreeMap<&str, &str>) -> Result<PackageXml> {
    const NAME: &str = "a package of primary";
    let document = format!("<metadata>{primary}</metadata>");
    let package = PrimaryReader::new(document.as_bytes(), NAME).next();
    let package = package.ok_or_else(|| Error::malformed(NAME, "it is none"))??;
    let id = package.checksum.hex.as_str();
    let evr = &package.nevra.evr;
    let empty = || {
        let (name, arch) = (attribute(&package.nevra.name), attribute(&package.nevra.arch));
        let (version, release) = (attribute(&evr.version), attribute(&evr.release));
        format!(
            "<package pkgid=\"{id}\" name=\"{name}\" arch=\"{arch}\">\n  \
             <version epoch=\"{}\" ver=\"{version}\" rel=\"{release}\"/>\n</package>",
            evr.epoch
        )
    };
    let part = |of: &BTreeMap<&str, &str>| of.get(id).map_or_else(empty, ToString::to_string) + "\n";
    let fragment = PackageXml {
        sha256: id.parse().map_err(|_| Error::malformed(NAME, format!("{} has no SHA-256", package.nevra)))?,
        primary: format!("{primary}\n"),
        filelists: part(filelists),
        other: part(other),
        location: package.location.clone(),
        nevra: package.nevra.clone(),
    };
    fragment.check()?;
    Ok(fragment)
}
