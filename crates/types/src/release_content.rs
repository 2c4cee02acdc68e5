//! What a release carries, and what people say of its plan.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Nevra, Timestamp, id::BuildId};

/// Where a person wants a package to go.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Edit {
    /// Which: a name (of packages that users install), `name.arch`, or a NEVRA.
    pub package: String,
    /// Repositories: with their architecture (`AppStream/x86_64`), or without for each architecture (`AppStream`). None:
    /// it is left out.
    pub to: Vec<String>,
}

/// An edit as it is kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeEdit {
    /// What is wanted.
    #[serde(flatten)]
    pub edit: Edit,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

impl Edit {
    /// Returns whether it speaks of a package.
    pub fn is_of(&self, nevra: &Nevra) -> bool {
        let wanted = self.package.as_str();
        wanted == nevra.name
            || wanted.strip_prefix(nevra.name.as_str()).and_then(|rest| rest.strip_prefix('.'))
                == Some(nevra.arch.as_str())
            || wanted == nevra.to_string()
    }
}

/// Somebody's word that a plan is good, where the product asks for several.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Who.
    pub who: String,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a release carries.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Content {
    /// What a build made.
    Build {
        /// The build.
        build: BuildId,
        /// Only these of its packages: names (of source packages with all that was made of them, too) or NEVRAs. None: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<String>,
    },
    /// What another snapshot or product has.
    Copy {
        /// From where: `PRODUCT` (all its repositories), `PRODUCT/PATH`, or `PRODUCT/PATH@N`. What users see when the release
        /// is begun is meant, and pinned.
        copy: Vec<String>,
        /// Only these packages, as above.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<String>,
        /// Packages that are in the repositories of the same address, and not there where it is copied from, go.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exact: bool,
    },
    /// Nothing: packages go.
    Removal {
        /// Which: names (of source packages with all that was made of them, too) or NEVRAs.
        remove: Vec<String>,
        /// Only from these repositories, such as `BaseOS/x86_64`. None: from all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        from: Vec<String>,
    },
    /// What users see already, with the signature of the product's key of now.
    Resign {
        /// In these repositories, such as `BaseOS/x86_64`. None: in all.
        resign: Vec<String>,
    },
    /// No packages: what repositories have beside them, such as advisories and groups, and how their metadata is packed.
    Attachments {
        /// The repositories, such as `BaseOS/x86_64`. None: those where users do not see yet what was attached.
        attachments: Vec<String>,
    },
    /// All packages of a repository from elsewhere.
    Import {
        /// The repository.
        import: Import,
    },
}

/// A repository from elsewhere whose packages are taken over.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// Its address, or a folder of the Release System's machine.
    pub url: String,
    /// Armoured keys: each package has to be signed by one of them. Without any, only digests are checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpg_keys: Vec<String>,
    /// Whether its index has to be signed by one of the keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_index_signed: bool,
    /// The product's repository that its binary packages go to, such as `BaseOS`; none: where the plan finds best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

impl From<BuildId> for Content {
    fn from(build: BuildId) -> Content {
        Content::Build { build, only: Vec::new() }
    }
}

impl Content {
    /// Returns the build, where it is one.
    pub fn build(&self) -> Option<BuildId> {
        match self {
            Content::Build { build, .. } => Some(*build),
            _ => None,
        }
    }
}

impl std::fmt::Display for Content {
    /// In a few words, for people: `build 41`, `a copy of beta`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Build { build, only } if only.is_empty() => write!(f, "build {build}"),
            Content::Build { build, only } => write!(f, "{} of build {build}", only.join(", ")),
            Content::Copy { copy, only, .. } if only.is_empty() => write!(f, "a copy of {}", copy.join(", ")),
            Content::Copy { copy, only, .. } => write!(f, "{} of {}", only.join(", "), copy.join(", ")),
            Content::Removal { remove, .. } => write!(f, "removal of {}", remove.join(", ")),
            Content::Resign { resign } if resign.is_empty() => write!(f, "what users see, signed anew"),
            Content::Resign { resign } => write!(f, "what users see in {}, signed anew", resign.join(", ")),
            Content::Attachments { attachments } => {
                write!(f, "what is beside the packages of {}", attachments.join(", "))
            }
            Content::Import { import } => write!(f, "an import of {}", import.url),
        }
    }
}

/// `POST /api/v1/releases`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateRelease {
    /// The product.
    pub product: String,
    /// What it carries.
    #[serde(flatten)]
    pub content: Content,
}

/// `POST /api/v1/releases/{release}/edit`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EditRelease {
    /// What is to go elsewhere than the plan says; what was said of the same packages before is forgotten.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Packages, as they were named, that are to go where the plan finds best again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<String>,
    /// Why. It stands in the release's events for good.
    pub reason: String,
}

/// `POST /api/v1/releases/{release}/schedule`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleRelease {
    /// When it goes to users.
    pub at: Timestamp,
    /// Why, although a gate asks.
    #[serde(default)]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_carries_is_told_by_its_fields() {
        let read = |json: &str| serde_json::from_str::<CreateRelease>(json).map(|wanted| wanted.content);

        assert_eq!(read(r#"{"build": 41, "product": "p"}"#).unwrap(), BuildId(41).into());
        let copy = read(r#"{"copy": ["beta"], "only": ["jq"], "product": "p"}"#).unwrap();
        assert_eq!(copy.to_string(), "jq of beta");
        assert_eq!(read(r#"{"remove": ["jq"], "product": "p"}"#).unwrap().to_string(), "removal of jq");
        let resign = read(r#"{"resign": [], "product": "p"}"#).unwrap();
        assert_eq!(resign.to_string(), "what users see, signed anew");
        let attachments = read(r#"{"attachments": ["BaseOS/x86_64"], "product": "p"}"#).unwrap();
        assert_eq!(attachments.to_string(), "what is beside the packages of BaseOS/x86_64");
        assert_eq!(read(r#"{"import": {"url": "/x"}, "product": "p"}"#).unwrap().to_string(), "an import of /x");
        assert!(read(r#"{"product": "p"}"#).is_err());
    }

    #[test]
    fn an_edit_speaks_of_a_name_a_name_with_an_architecture_or_a_nevra() {
        let nevra: Nevra = "jq-1.7-1.x86_64".parse().unwrap();
        let is_of = |package: &str| Edit { package: package.into(), to: Vec::new() }.is_of(&nevra);

        assert!(["jq", "jq.x86_64", "jq-1.7-1.x86_64"].into_iter().all(is_of));
        assert!(!["j", "jq.i686", "jq-1.8-1.x86_64", "jq.", "jqx"].into_iter().any(is_of));
    }
}
