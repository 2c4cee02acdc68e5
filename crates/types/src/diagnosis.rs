//! Why a task failed, taken apart: what was found in its log, where, and what to do about it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A failure has so many findings at most: who looks first reads one or two.
pub const MAX_FINDINGS: usize = 8;

/// Something in a log that says why a task failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DiagnosisFinding)]
pub struct Finding {
    /// The class, a stable word of `crates/diagnosis/src/classes.toml`: `missing_header`, `failed_tests`…
    pub class: String,
    /// What the class is called.
    pub title: String,
    /// What happened, in one sentence.
    pub message: String,
    /// The step of rpmbuild that it happened in, such as `%build`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The line of the log that says it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_line: Option<u64>,
    /// That line with those around it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excerpt: Vec<LogLine>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// What was missing, and who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<Need>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number, from 1.
    pub number: u64,
    /// What it says, without escapes, cut off where it is long.
    pub text: String,
}

/// Something that a build missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Need {
    /// What it is.
    pub kind: NeedKind,
    /// Its name as the log has it: `zlib.h`, `bison`, `Foo/Bar`.
    pub name: String,
    /// The packages of the platform that have it; empty where none has, or nobody looked.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// What can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedKind {
    /// A header of C or C++: `sys/x.h`.
    Header,
    /// A program: `bison`.
    Command,
    /// A library to link with: `curl` for `-lcurl`.
    Library,
    /// A shared library to run with: `libcurl.so.4`.
    Soname,
    /// A module of Python: `yaml`.
    Python,
    /// A module of Perl: `Foo/Bar` or `Foo::Bar`.
    Perl,
    /// A module of pkg-config: `libxml-2.0`.
    Pkgconfig,
    /// A package of CMake: `Qt6Core`.
    Cmake,
    /// A Rust crate.
    Crate,
    /// A library of Ruby.
    Ruby,
    /// A file or anything else that a package can require.
    #[serde(other)]
    Capability,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Failure;

    #[test]
    fn a_failure_of_an_older_node_is_read_and_an_older_master_reads_ours() {
        #[derive(Deserialize)]
        struct OldFailure {
            code: String,
            message: String,
            log_line: Option<u64>,
        }
        let old: Failure = serde_json::from_str(r#"{"code":"spec","message":"no"}"#).unwrap();
        assert_eq!(old, Failure::new("spec", "no"));

        let finding = Finding { class: "missing_header".into(), log_line: Some(3), ..Finding::default() };
        let new = Failure { log_line: Some(3), findings: vec![finding], ..Failure::new("build_failed", "x") };
        let read: OldFailure = serde_json::from_str(&serde_json::to_string(&new).unwrap()).unwrap();
        assert_eq!((read.code.as_str(), read.message.as_str(), read.log_line), ("build_failed", "x", Some(3)));
    }

    #[test]
    fn a_kind_of_need_that_a_newer_node_knows_is_no_error() {
        let need: Need = serde_json::from_str(r#"{"kind":"haskell","name":"x"}"#).unwrap();

        assert_eq!((need.kind, need.packages.len()), (NeedKind::Capability, 0));
    }
}
