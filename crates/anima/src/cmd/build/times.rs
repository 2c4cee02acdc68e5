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
        let its = |task: &&Task| task.kind == kind && package.is_none_or(|name| task.package.as_deref() == Some(name));
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
