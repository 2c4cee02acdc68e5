//! Which releases lead to which: `upgrade_paths.json`.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::place::Source;
use crate::{Result, release::Release};

/// The way that counts where none is named.
const DEFAULT: &str = "default";

/// One file: targets by source, by kind of way (`default`, `saphana`).
#[derive(Clone, Debug, Default)]
pub struct UpgradePaths {
    /// Targets of each source, by the kind of way; as they stand.
    pub ways: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// The whole file.
    pub raw: Value,
}

impl UpgradePaths {
    /// Reads a file.
    pub fn parse(path: &Path, text: &str) -> Result<UpgradePaths> {
        let source = Source::new(path, text);
        let ways: BTreeMap<String, BTreeMap<String, Vec<String>>> = source.parse()?;
        for text in ways.values().flatten().flat_map(|(from, targets)| targets.iter().chain([from])) {
            source.check_text::<Release>(text)?;
        }
        Ok(UpgradePaths { ways, raw: source.parse()? })
    }

    /// Returns the releases that one leads to: of its minor version where that is named, else of its major version. Nothing
    /// is returned where the file does not know the source.
    pub fn targets(&self, source: Release) -> Option<Vec<Release>> {
        let ways = self.ways.get(DEFAULT)?;
        let exact = ways.get(&source.to_string());
        let found = exact.or_else(|| ways.get(&source.major.to_string()))?;
        Some(found.iter().filter_map(|text| text.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_minor_version_or_else_of_the_major_one() {
        let text = r#"{"default": {"8.10": ["9.4", "9.6"], "8": ["9.0"]}, "saphana": {"8.10": ["9.4"]}}"#;
        let paths = UpgradePaths::parse(Path::new("upgrade_paths.json"), text).unwrap();
        let of = |text: &str| text.parse::<Release>().unwrap();

        assert_eq!(paths.targets(of("8.10")), Some(vec![of("9.4"), of("9.6")]));
        assert_eq!(paths.targets(of("8.6")), Some(vec![of("9.0")]));
        assert_eq!(paths.targets(of("7.9")), None);
    }

    #[test]
    fn what_is_no_release_is_told_with_its_place() {
        let error = UpgradePaths::parse(Path::new("p.json"), "{\"default\": {\n\"8\": [\"nine\"]}}").unwrap_err();
        assert!(error.to_string().contains("p.json:2:"), "{error}");
    }
}
