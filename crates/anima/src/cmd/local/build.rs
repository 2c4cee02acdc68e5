//! `anima local build`: folders or source packages become packages.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anima_build_node::local::{self, Lock, Order, Origin, Place, Refusal, Replay, Report, Verification};
use anima_types::{
    Arch,
    platform::{Limits, PackageOptions, Platform},
};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    PlatformArgs,
    platform::address,
    screen::{Screen, summary},
    with_local,
};
use crate::{
    args::Global,
    cmd::buildroot::ReplayArgs,
    cmd::role::end_on_signals,
    exit::{Exit, Failure, Result},
    output::Output,
};

/// Build folders or source packages of this machine; several are built in the order in which they need one another
#[derive(Args, Debug)]
pub struct Build {
    /// Folders as packagers have them (uncommitted changes are built, too), or source packages
    #[arg(value_name = "FOLDER|SRPM", default_value = ".")]
    packages: Vec<PathBuf>,
    #[command(flatten)]
    platform: PlatformArgs,
    /// An architecture; repeat it for more [default: this machine's]
    #[arg(long = "arch", value_name = "ARCH")]
    architectures: Vec<Arch>,
    /// Where large sources are, beside the packages' own folders: a folder, a lookaside, or any address that they are
    /// below; repeat it for more. Their hashes are always compared
    #[arg(long = "sources", value_name = "FOLDER|URL")]
    sources: Vec<String>,
    /// A condition of the spec that is on; repeat it for more
    #[arg(long = "with", value_name = "NAME")]
    with: Vec<String>,
    /// A condition of the spec that is off; repeat it for more
    #[arg(long = "without", value_name = "NAME")]
    without: Vec<String>,
    /// A macro; repeat it for more
    #[arg(long = "define", short = 'D', value_name = "\"NAME VALUE\"", value_parser = parse_macro)]
    macros: Vec<(String, String)>,
    /// Where the packages go, with logs and locks: a folder for each package, all of it a repository
    #[arg(long, value_name = "FOLDER", default_value = "anima-results")]
    result: PathBuf,
    #[command(flatten)]
    replay: ReplayArgs,
    /// Build twice, in different roots, and compare what comes out bit for bit (exit code 5 if it differs)
    #[arg(long)]
    verify: bool,
    /// Enter the root of what failed before it is removed
    #[arg(long)]
    shell_on_failure: bool,
    /// Show logs as they grow
    #[arg(long, short)]
    follow: bool,
    /// Memory that a build may use
    #[arg(long, value_name = "MIB")]
    memory_mib: Option<u64>,
    /// Room on the disk that a build may use
    #[arg(long, value_name = "MIB")]
    disk_mib: Option<u64>,
    /// Processors that a build may use
    #[arg(long, value_name = "COUNT")]
    cores: Option<u32>,
    /// How long a build may take
    #[arg(long, value_name = "SECONDS")]
    wall_secs: Option<u64>,
}

impl Build {
    pub fn run(self, global: &Global) -> Result {
        let limits = Limits {
            memory_mib: self.memory_mib,
            disk_mib: self.disk_mib,
            cores: self.cores,
            wall_secs: self.wall_secs,
            ..Limits::default()
        };
        let config = self.platform.config(global, limits)?;
        let (output, follows, verifies) = (Output::new(global.json), self.follow, self.verify);
        let order = self.order(global)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start")?;
        let (report, verification) = with_local(&config, |local| {
            let cancel = CancellationToken::new();
            let screen = Arc::new(Screen::new(follows, cancel.clone()));
            runtime.block_on(async {
                end_on_signals(&cancel)?;
                match verifies {
                    true => local.verify(&order, screen, &cancel).await.map_err(failure),
                    false => Ok((local.build(&order, screen, &cancel).await.map_err(failure)?, None)),
                }
            })
        })?;
        let done = Done { report, verification };
        output.show(&done, |done| done.in_words())?;
        ended(&done)
    }

    fn order(self, global: &Global) -> Result<Order> {
        let platform = match self.replay.lock {
            Some(_) => self.platform.platform_of_lock(global)?,
            None => self.platform.platform(global)?,
        };
        let own = self.platform.architectures(global)?;
        let arches = match self.architectures.is_empty() {
            true => own.iter().copied().filter(|arch| platform.architectures.contains(arch)).take(1).collect(),
            false => self.architectures,
        };
        check_architectures(&arches, &own, &platform)?;
        if self.replay.lock.is_some() && (arches.len() > 1 || self.packages.len() > 1) {
            return Err(Failure::user("a lock is of one root: name one package and one architecture"));
        }
        let replay = replay(&self.replay, &platform, arches[0])?;
        let packages = self.packages.iter().map(|path| origin(path)).collect::<Result<_>>()?;
        let places = self.sources.iter().map(|place| place_of(place)).collect::<Result<_>>()?;
        let options = PackageOptions {
            with: self.with,
            without: self.without,
            macros: self.macros.into_iter().collect(),
            ..PackageOptions::default()
        };
        Ok(Order {
            packages,
            platform,
            arches,
            options,
            places,
            replay,
            shows_failed: self.shell_on_failure,
            results: self.result,
        })
    }
}

/// What is printed.
#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Verification>,
}

impl Done {
    fn in_words(&self) -> String {
        let mut text = summary(&self.report);
        if let Some(verification) = &self.verification {
            text += &format!("\nbuilt twice: {} packages are the same, bit for bit", verification.equal_count);
            for difference in &verification.differences {
                text += &format!("\n{} differs:\n  {}", difference.file, difference.what.join("\n  "));
            }
        }
        text
    }
}

/// Returns the lock that was named, for a root of this architecture.
pub fn replay(args: &ReplayArgs, platform: &Platform, arch: Arch) -> Result<Option<Replay>> {
    let Some(path) = &args.lock else { return Ok(None) };
    let wrong = |why: String| Failure::user(format!("could not use {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let lock = Lock::from_json(&text).map_err(|error| wrong(error.to_string()))?;
    if lock.arch != arch.name() {
        return Err(wrong(format!("it is for {}, not for {arch}", lock.arch)));
    }
    let folders = args.folders.iter().map(|folder| whole_folder(folder)).collect::<Result<_>>()?;
    let inputs = platform.repositories.iter().map(|repository| repository.input(arch, "")).collect();
    let bootstrap = platform.buildroot.bootstrap;
    Ok(Some(Replay { lock, folders, inputs, bootstrap }))
}

pub fn check_architectures(arches: &[Arch], own: &[Arch], platform: &Platform) -> Result {
    let named = |list: &[Arch]| list.iter().map(|arch| arch.name()).collect::<Vec<_>>().join(", ");
    if arches.is_empty() {
        let has = named(&platform.architectures);
        return Err(Failure::user(format!("this machine runs none of the platform's architectures: {has}")));
    }
    for arch in arches {
        if !platform.architectures.contains(arch) {
            let has = named(&platform.architectures);
            return Err(
                Failure::user(format!("platform {} has no {arch}", platform.name)).hint(format!("it has {has}"))
            );
        }
        if !own.contains(arch) {
            return Err(
                Failure::user(format!("this machine does not run {arch}")).hint(format!("it runs {}", named(own)))
            );
        }
    }
    Ok(())
}

pub fn origin(path: &Path) -> Result<Origin> {
    let wrong = |why: &str| Failure::user(format!("could not build {}: {why}", path.display()));
    let whole = path.canonicalize().map_err(|error| wrong(&error.to_string()))?;
    match (whole.is_dir(), whole.extension().is_some_and(|end| end == "rpm")) {
        (true, _) => Ok(Origin::Folder(whole)),
        (false, true) => Ok(Origin::Srpm(whole)),
        (false, false) => Err(wrong("it is neither a folder nor a source package")),
    }
}

pub fn place_of(place: &str) -> Result<Place> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return Ok(Place::Url(address(place).map_err(Failure::user)?));
    }
    Ok(Place::Folder(whole_folder(Path::new(place))?))
}

/// Returns the whole path of a folder that has to be there.
fn whole_folder(folder: &Path) -> Result<PathBuf> {
    match folder.canonicalize() {
        Ok(whole) if whole.is_dir() => Ok(whole),
        _ => Err(Failure::user(format!("there is no folder {}", folder.display()))),
    }
}

/// Reads `NAME VALUE`, as rpm's own `--define` does.
fn parse_macro(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    match name.trim_start_matches('%').is_empty() {
        true => Err("it has to be \"NAME VALUE\"".to_string()),
        false => Ok((name.to_string(), value.trim().to_string())),
    }
}

pub fn failure(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Asked(_)) => Failure::user(error.to_string()),
        Some(Refusal::Cancelled) => Failure::new(Exit::Unsuccessful, error.to_string()),
        None => error.into(),
    }
}

/// Says how it ended: what failed, and whose fault it was.
fn ended(Done { report, verification }: &Done) -> Result {
    let failed: Vec<&str> =
        report.packages.iter().filter(|package| !package.is_success()).map(|package| package.name.as_str()).collect();
    if failed.is_empty() {
        return match verification.as_ref().map_or(0, |verification| verification.differences.len()) {
            0 => Ok(()),
            count => {
                Err(Failure::new(Exit::Unsuccessful, format!("{count} packages came out otherwise the second time")))
            }
        };
    }
    let steps = report.packages.iter().flat_map(|package: &local::PackageReport| &package.steps);
    let codes: Vec<&str> = steps.filter_map(|step| Some(step.failure.as_ref()?.code.as_str())).collect();
    Err(Failure::new(exit_of(&codes), format!("{} could not be built", failed.join(", "))))
}

/// A package's own fault counts more than what else went wrong.
pub fn exit_of(codes: &[&str]) -> Exit {
    let of = |code: &str| match code {
        "unreachable" | "bad_repository" => Exit::Remote,
        "internal" => Exit::Internal,
        _ => Exit::Unsuccessful,
    };
    let exits: Vec<Exit> = codes.iter().map(|code| of(code)).collect();
    match exits.contains(&Exit::Unsuccessful) {
        true => Exit::Unsuccessful,
        false => exits.first().copied().unwrap_or(Exit::Unsuccessful),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_macro_is_a_name_and_a_value_as_rpm_reads_it() {
        assert_eq!(parse_macro("dist .mine"), Ok(("dist".to_string(), ".mine".to_string())));
        assert_eq!(parse_macro("empty"), Ok(("empty".to_string(), String::new())));
        assert!(parse_macro("").is_err());
    }

    #[test]
    fn who_is_at_fault_is_told_by_the_exit_code() {
        assert_eq!(exit_of(&["unreachable"]), Exit::Remote);
        assert_eq!(exit_of(&["internal", "build_failed"]), Exit::Unsuccessful);
        assert_eq!(exit_of(&["internal"]), Exit::Internal);
    }

    #[test]
    fn what_is_neither_a_folder_nor_a_package_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.spec"), "").unwrap();

        assert!(matches!(origin(folder.path()), Ok(Origin::Folder(_))));
        assert_eq!(origin(&folder.path().join("a.spec")).unwrap_err().exit, Exit::User);
        assert_eq!(origin(&folder.path().join("missing")).unwrap_err().exit, Exit::User);
    }
}
