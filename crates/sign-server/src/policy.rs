//! What the Sign Server itself lets its keys sign: `policy.toml` in its own folder, which nobody else may write.
//!
//! The master asks the policies that it keeps; this is asked again here, so that a master that was taken over signs no more
//! than its keys' owner said on this machine.

use std::{collections::BTreeMap, fs, io, path::Path};

use anima_types::key_policy::Policy;
use serde::Deserialize;

/// A file longer than this is not a policy, but something put there by mistake.
const MAX_BYTES: usize = 1 << 20;

/// Why the policies cannot be read: then nothing is signed.
#[derive(Debug, thiserror::Error)]
#[error("could not read the policies of the keys in {path}: {reason}")]
pub struct Error {
    path: String,
    reason: String,
}

/// The policies of all keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policies {
    /// Of keys that are not named.
    default: OfKey,
    /// Of keys by their names in the keyring.
    keys: BTreeMap<String, OfKey>,
}

/// What one key may sign.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfKey {
    /// Whether it signs header and payload together, of which it sees a digest's state only: so it cannot tell what it
    /// signs, and does it only where its owner says so here.
    pub payload: bool,
    /// All else.
    pub policy: Policy,
}

impl Policies {
    /// Reads the policies in `path`; where there is no file, each key signs what was built and tested.
    pub fn read(path: &Path) -> Result<Policies, Error> {
        let wrong = |reason: String| Error { path: path.display().to_string(), reason };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Policies::default()),
            Err(error) => return Err(wrong(error.to_string())),
        };
        if text.len() > MAX_BYTES {
            return Err(wrong("it is too long".to_string()));
        }
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim().to_string()))
    }

    /// Returns what the key of that name may sign.
    pub fn of(&self, name: &str) -> &OfKey {
        self.keys.get(name).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::signature::Kind;

    #[test]
    fn a_key_has_its_own_policy_or_that_of_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        assert!(Policies::read(&path).unwrap().of("any").policy.requires.built);
        let text = "[default.policy.requires]\napprovals = 1\n[keys.old]\npayload = true\n[keys.old.policy]\nkinds = [\"rpm\"]\n";
        fs::write(&path, text).unwrap();

        let policies = Policies::read(&path).unwrap();

        assert!(policies.of("old").payload && !policies.of("new").payload);
        assert_eq!(policies.of("old").policy.kinds, [Kind::Rpm]);
        assert_eq!(policies.of("new").policy.requires.approvals, 1);
    }

    #[test]
    fn a_policy_that_is_not_understood_allows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        for text in ["keys = 3", "[keys.a]\npayloads = true", "[keys.a.policy]\nkind = [\"rpm\"]", "["] {
            fs::write(&path, text).unwrap();
            assert!(Policies::read(&path).is_err(), "{text}");
        }
    }
}
