//! Releases of a distribution: major and minor version.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A release such as 8.10.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Release {
    /// The major version.
    pub major: u32,
    /// The minor version; 0 where nothing is said.
    pub minor: u32,
}

/// A text that is no release.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{0}\" is no release: it is MAJOR or MAJOR.MINOR, such as 9.4")]
pub struct NoRelease(String);

impl FromStr for Release {
    type Err = NoRelease;

    fn from_str(text: &str) -> Result<Release, NoRelease> {
        let wrong = || NoRelease(text.to_string());
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Release { major: major.parse().map_err(|_| wrong())?, minor: minor.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<Release> for String {
    fn from(release: Release) -> String {
        release.to_string()
    }
}

impl TryFrom<String> for Release {
    type Error = NoRelease;

    fn try_from(text: String) -> Result<Release, NoRelease> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_as_numbers() {
        let of = |text: &str| text.parse::<Release>().unwrap();
        assert!(of("8.9") < of("8.10") && of("8.10") < of("9"));
        assert!("9x".parse::<Release>().is_err());
        assert_eq!(of("9").to_string(), "9.0");
    }
}
