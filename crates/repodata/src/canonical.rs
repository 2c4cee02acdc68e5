//! What metadata says, apart from how it is written: a digest of every package's element that does not depend on space
//! between elements nor on the order of attributes. Two files that say the same have the same digests.

use std::{collections::BTreeMap, io::BufRead};

use anima_types::Sha256;
use sha2::Digest;

use crate::{
    Record, Repository, Result,
    xml::{Document, Element, Node},
};

impl Repository {
    /// Returns the digest of what each package's element of a file says, by the package's id (the digest of its file). The
    /// file is one of [`crate::Part`].
    pub fn digests(&self, record: &Record) -> Result<BTreeMap<String, Sha256>> {
        digests(self.open_record(record)?, &record.location)
    }
}

fn digests(reader: impl BufRead, name: &str) -> Result<BTreeMap<String, Sha256>> {
    let mut document = Document::new(reader, name);
    let mut found = BTreeMap::new();
    loop {
        document.settle();
        match document.next()? {
            Node::Start(element) if element.name == "package" && document.depth() == 2 => {
                let (id, digest) = package(&mut document, &element)?;
                found.insert(id, digest);
            }
            Node::Eof => return Ok(found),
            _ => {}
        }
    }
}

fn package<R: BufRead>(document: &mut Document<R>, package: &Element) -> Result<(String, Sha256)> {
    let outside = document.depth() - 1;
    let mut id = package.get("pkgid").map(str::to_string);
    let mut hasher = sha2::Sha256::new();
    start(&mut hasher, package);
    let (mut text, mut is_leaf, mut is_id) = (String::new(), true, false);
    while document.depth() > outside {
        match document.next()? {
            Node::Start(element) => {
                hasher.update(text.trim());
                text.clear();
                (is_leaf, is_id) = (true, element.get("pkgid") == Some("YES"));
                start(&mut hasher, &element);
            }
            Node::Text(more) => text.push_str(&more),
            Node::End => {
                if is_id {
                    id = Some(text.trim().to_string());
                }
                let is_kept = is_leaf && !text.trim().is_empty();
                hasher.update(if is_kept { &text } else { text.trim() });
                hasher.update(b"\0>");
                text.clear();
                (is_leaf, is_id) = (false, false);
            }
            Node::Eof => return Err(document.error("it ends too early")),
        }
    }
    let id = id.ok_or_else(|| document.error("a package has no id"))?;
    Ok((id, Sha256(hasher.finalize().into())))
}

fn start(hasher: &mut sha2::Sha256, element: &Element) {
    let mut attributes: Vec<_> = element.attributes.iter().collect();
    attributes.sort();
    hasher.update(format!("\0<{}", element.name));
    for (name, value) in attributes {
        hasher.update(format!("\0{name}={value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(xml: &str) -> BTreeMap<String, Sha256> {
        digests(format!("<metadata>{xml}</metadata>").as_bytes(), "test").unwrap()
    }

    #[test]
    fn space_between_elements_and_the_order_of_attributes_say_nothing_and_all_else_does() {
        let same = of("<package a=\"1\" pkgid=\"x\"><e/>\n <f> t </f></package>");

        assert_eq!(same.keys().collect::<Vec<_>>(), ["x"]);
        assert_eq!(of("<package pkgid=\"x\" a=\"1\">\n<e></e><f> t </f>\n</package>"), same);
        for other in [
            "<package a=\"1\" pkgid=\"x\"><e/><f>t </f></package>",
            "<package a=\"2\" pkgid=\"x\"><e/><f> t </f></package>",
            "<package a=\"1\" pkgid=\"x\"><f> t </f><e/></package>",
            "<package a=\"1\" pkgid=\"x\"><e/><f> t </f>x</package>",
            "<package a=\"1\" pkgid=\"x\"><e><f> t </f></e></package>",
            "<package a=\"1\" pkgid=\"x\"><e/></package>",
        ] {
            assert_ne!(of(other), same, "{other}");
        }
    }

    #[test]
    fn a_package_of_primary_is_known_by_its_checksum() {
        let found = of("<package type=\"rpm\"><name>n</name><checksum pkgid=\"YES\">ab</checksum></package>");

        assert_eq!(found.keys().collect::<Vec<_>>(), ["ab"]);
    }
}
