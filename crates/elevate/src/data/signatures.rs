//! Keys by which packages are known as the distribution's or a vendor's: `gpg-signatures.json`, and `NAME.sigs` of vendors.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Origin,
    place::{Place, Source},
};
use crate::{Error, Result, facts::Installed};

/// How many hexadecimal digits the id of a key has.
const KEY_ID_DIGITS: usize = 16;

/// One file.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    /// Ids of keys, in lower case.
    pub keys: Vec<String>,
    /// Packages of keys that a major version no longer trusts, by that version.
    pub obsoleted: BTreeMap<String, Vec<String>>,
    /// Whose they are.
    pub origin: Origin,
    /// The whole file; a text where it is no JSON.
    pub raw: Value,
}

#[derive(Deserialize)]
struct FileForm {
    keys: Vec<String>,
    #[serde(default, rename = "obsoleted-keys")]
    obsoleted: BTreeMap<String, Vec<String>>,
}

impl Signatures {
    /// Reads `gpg-signatures.json`.
    pub fn parse(path: &Path, text: &str) -> Result<Signatures> {
        let source = Source::new(path, text);
        let form: FileForm = source.parse()?;
        let keys = form.keys.iter().map(|key| key.to_lowercase()).collect();
        Ok(Signatures { keys, obsoleted: form.obsoleted, origin: Origin::default(), raw: source.parse()? })
    }

    /// Reads a vendor's list, one key's id a line.
    pub fn parse_list(path: &Path, text: &str) -> Result<Signatures> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let key = line.trim().to_lowercase();
            if key.len() != KEY_ID_DIGITS || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let place = Place { file: path.to_path_buf(), line: at + 1, column: 1 };
                let reason = format!("\"{key}\" is no key id of {KEY_ID_DIGITS} hexadecimal digits");
                return Err(Error::Data { place, reason });
            }
            keys.push(key);
        }
        Ok(Signatures { keys, raw: Value::String(text.to_string()), ..Signatures::default() })
    }

    /// Returns the file as it was.
    pub fn to_text(&self) -> String {
        match &self.raw {
            Value::String(text) => text.clone(),
            document => document.to_string(),
        }
    }
}

/// All keys that are known for a way.
#[derive(Clone, Debug, Default)]
pub struct Known<'a>(BTreeSet<&'a str>);

impl<'a> Known<'a> {
    /// Collects the keys of files.
    pub fn new(files: &'a [Signatures]) -> Known<'a> {
        // Vendors' lists alone do not say which packages are the distribution's own.
        match files.iter().any(|file| file.origin.vendor.is_none()) {
            true => Known(files.iter().flat_map(|file| &file.keys).map(String::as_str).collect()),
            false => Known::default(),
        }
    }

    /// Returns whether anything is known: where nothing is, every package counts as the distribution's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a package is the distribution's or an active vendor's.
    pub fn is_ours(&self, package: &Installed) -> bool {
        self.is_empty() || self.0.contains(package.key_id.to_lowercase().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let text =
            r#"{"keys": ["51D6647EC21AD6EA"], "obsoleted-keys": {"9": ["gpg-pubkey-d4082792-5b32db75"]}, "more": 1}"#;
        let own = Signatures::parse(Path::new("gpg-signatures.json"), text).unwrap();
        let vendor = Signatures::parse_list(Path::new("x.sigs"), "\nce1a3dd5e3c94f49\nF1656F24C74CD1D8").unwrap();

        assert_eq!((own.keys.as_slice(), own.obsoleted["9"].len()), (["51d6647ec21ad6ea".to_string()].as_slice(), 1));
        assert_eq!(vendor.keys, ["ce1a3dd5e3c94f49", "f1656f24c74cd1d8"]);
        assert_eq!(
            serde_json::from_str::<Value>(&own.to_text()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        assert_eq!(vendor.to_text(), "\nce1a3dd5e3c94f49\nF1656F24C74CD1D8");
    }

    #[test]
    fn a_line_that_is_no_key_is_told_with_its_number() {
        let error = Signatures::parse_list(Path::new("x.sigs"), "ce1a3dd5e3c94f49\nnonsense\n").unwrap_err();
        assert!(error.to_string().contains("x.sigs:2:1"), "{error}");
    }
}
