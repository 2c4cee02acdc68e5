//! How long each step of a build took, package by package.

use anima_types::{
    build::BuildDetail,
    release::Release,
    task::{Kind, Task},
};
use serde::Serialize;

use crate::{
    cmd::task::took,
    output::{self, or_dash},
};

/// A package's steps. Test, signature and release are the whole build's, and so the same for all its packages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Times {
    pub package: String,
    pub src_secs: Option<f64>,
    pub build_secs: Option<f64>,
    pub test_secs: Option<f64>,
    pub sign_secs: Option<f64>,
    pub release_secs: Option<f64>,
    /// From the request to the last of these steps, with all waiting.
    pub total_secs: Option<f64>,
}

/// Returns the steps of each package; `release` is the one that brought them to users.
pub fn of(detail: &BuildDetail, release: Option<&Release>) -> Vec<Times> {
    let build = &detail.build;
    let longest = |kind: Kind, package: Option<&str>| {
        let its = |task: &&Task| {
            // A release's tasks, such as the signature of its metadata, are part of the release's time.
            task.kind == kind
                && task.release.is_none()
                && package.is_none_or(|name| task.package.as_deref() == Some(name))
        };
        detail.tasks.iter().filter(its).filter_map(took).reduce(f64::max)
    };
    let released_at = release.and_then(|release| release.released_at);
    let release_secs = release.and_then(|release| Some(release.released_at?.secs_since(release.created_at)));
    let total_secs = released_at.or(build.ended_at).map(|end| end.secs_since(build.created_at));
    let times_of = |package: &str| Times {
        package: package.to_string(),
        src_secs: longest(Kind::Src, Some(package)),
        build_secs: longest(Kind::Build, Some(package)),
        test_secs: longest(Kind::Test, None),
        sign_secs: longest(Kind::Sign, None),
        release_secs,
        total_secs,
    };
    build.sources.iter().map(|source| times_of(&source.package)).collect()
}

/// Returns them as a table.
pub fn table(times: &[Times]) -> String {
    let span = |secs: Option<f64>| or_dash(secs.map(output::span));
    let row = |times: &Times| {
        [
            times.package.clone(),
            span(times.src_secs),
            span(times.build_secs),
            span(times.test_secs),
            span(times.sign_secs),
            span(times.release_secs),
            span(times.total_secs),
        ]
    };
    output::table(["package", "src", "build", "test", "sign", "release", "total"], times.iter().map(row))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    pub fn detail() -> BuildDetail {
        let task = |id: i64, kind: &str, package: Option<&str>, began: &str, ended: Option<&str>| {
            json!({
                "id": id, "kind": kind, "status": "succeeded", "build": 1, "release": null, "package": package,
                "platform": "seed-1", "arch": null, "why": "", "waits_for": [], "attempts": 1, "node": "n",
                "created_at": "2026-01-01T00:00:00Z", "started_at": format!("2026-01-01T00:00:{began}Z"),
                "ended_at": ended.map(|ended| format!("2026-01-01T00:00:{ended}Z")), "phases": [], "failure": null,
                "artifacts": [], "log_size_bytes": 0, "result": null,
            })
        };
        let source = |package: &str| json!({ "package": package, "reference": "s1", "commit": "c" });
        serde_json::from_value(json!({
            "id": 1, "status": "succeeded", "owner": "o", "reason": "", "sources": [source("a"), source("b")],
            "platforms": ["seed-1"], "architectures": ["x86_64"], "created_at": "2026-01-01T00:00:00Z",
            "ended_at": "2026-01-01T00:00:40Z", "summary": "", "releases": [],
            "tasks": [
                task(1, "src", Some("a"), "01", Some("02")), task(2, "src", Some("b"), "01", Some("03")),
                task(3, "build", Some("a"), "05", Some("15")), task(4, "build", Some("a"), "05", Some("25")),
                task(5, "build", Some("b"), "30", None), task(6, "test", None, "31", Some("35")),
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_step_takes_as_long_as_its_longest_architecture_and_one_that_did_not_end_has_no_time() {
        let times = of(&detail(), None);

        assert_eq!((times[0].src_secs, times[0].build_secs), (Some(1.0), Some(20.0)));
        assert_eq!((times[1].src_secs, times[1].build_secs), (Some(2.0), None));
        assert_eq!((times[1].test_secs, times[1].release_secs, times[1].total_secs), (Some(4.0), None, Some(40.0)));
        assert!(
            table(&times)
                .starts_with("PACKAGE  SRC    BUILD  TEST   SIGN  RELEASE  TOTAL\na        1.0 s  20 s   4.0 s")
        );
    }
}
