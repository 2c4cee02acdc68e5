//! `anima elevate rehearse`: the transaction of a plan, or of packages that are named, in a layer over the root.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anima_elevate::plan::Plan;
use anima_elevate_act::{Package, Rehearsal, Work};
use anyhow::Context;
use clap::Args;

use super::{Where, failure, watch::Bar};
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};

/// Run the whole upgrade in a layer over the root, which stays as it is, and say what is found
#[derive(Args, Debug)]
pub struct Rehearse {
    #[command(flatten)]
    place: Where,
    /// A plan whose transaction is done
    #[arg(long, value_name = "FILE", requires = "repositories", conflicts_with_all = ["packages", "erase"])]
    plan: Option<PathBuf>,
    /// Where a repository of the plan is; repeat it for more
    #[arg(long = "repository", value_name = "ID=FOLDER", value_parser = crate::config::parse_mirror)]
    repositories: Vec<(String, PathBuf)>,
    /// A package that goes and that nothing takes the place of, as NAME-VERSION-RELEASE.ARCH; repeat it for more
    #[arg(long, value_name = "NEVRA")]
    erase: Vec<String>,
    /// A root of the target's packages whose rpm does it [default: the rpm of this machine]
    #[arg(long, value_name = "FOLDER")]
    userspace: Option<PathBuf>,
    /// Take packages that no key of the root's database has signed
    #[arg(long)]
    unsigned: bool,
    /// Packages to install or to upgrade to
    #[arg(value_name = "PACKAGE")]
    packages: Vec<PathBuf>,
}

impl Rehearse {
    pub fn run(self, output: Output) -> Result {
        let (install, erase) = match &self.plan {
            Some(plan) => of_plan(plan, &self.repositories)?,
            None if self.packages.is_empty() => return Err(Failure::user("name a plan or packages")),
            None => (self.packages.iter().map(|path| of_file(path)).collect::<Result<_>>()?, self.erase.clone()),
        };
        let userspace = self.userspace.clone();
        let helper = std::env::current_exe().context("could not find this program")?;
        let asker = self.place.asker(&helper);
        let work = Work { install, erase, userspace, wants_signatures: !self.unsigned, asker };
        let rehearsal = self.place.open()?.rehearse(&work, &helper, &mut Bar::new(output)).map_err(failure)?;
        output.show(&rehearsal, text)?;
        match rehearsal.is_blocked() {
            true => Err(Failure::new(Exit::Unsuccessful, "the new system is not as planned; nothing was changed")),
            false => Ok(()),
        }
    }
}

fn of_plan(path: &Path, repositories: &[(String, PathBuf)]) -> Result<(Vec<Package>, Vec<String>)> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| Failure::user(format!("could not read the plan {}: {error}", path.display())))?;
    if plan.is_blocked() {
        return Err(
            Failure::user("the plan has findings that block").hint("`anima elevate plan` says what to do about them")
        );
    }
    let folders: BTreeMap<&String, &PathBuf> = repositories.iter().map(|(id, folder)| (id, folder)).collect();
    let mut install = Vec::new();
    for package in plan.transaction.install {
        let folder = folders.get(&package.repository).ok_or_else(|| {
            let id = &package.repository;
            Failure::user(format!("the plan has packages of {id}"))
                .hint(format!("say where it is: --repository {id}=FOLDER"))
        })?;
        let sha256 = (package.checksum.0 == "sha256").then_some(package.checksum.1);
        install.push(Package { nevra: package.nevra, path: whole(&folder.join(package.location))?, sha256 });
    }
    // A name that comes again goes by its upgrade.
    let comes: BTreeSet<&str> = install.iter().map(|package| name(&package.nevra)).collect();
    let erase = plan.transaction.erase.iter().filter(|nevra| !comes.contains(name(nevra))).cloned().collect();
    Ok((install, erase))
}

fn of_file(path: &Path) -> Result<Package> {
    let path = whole(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let nevra = name.strip_suffix(".rpm").unwrap_or(&name).to_owned();
    Ok(Package { nevra, path, sha256: None })
}

fn whole(path: &Path) -> Result<PathBuf> {
    Ok(path.canonicalize().with_context(|| format!("could not find {}", path.display()))?)
}

fn name(nevra: &str) -> &str {
    nevra.rsplitn(3, '-').nth(2).unwrap_or(nevra)
}

fn text(rehearsal: &Rehearsal) -> String {
    let mut lines = vec![
        format!("packages: {} before, {} after", rehearsal.before.len(), rehearsal.after.len()),
        format!("paths that change: {}", rehearsal.changes.len()),
        format!("the root is as it was: {} files compared", rehearsal.unchanged_count),
    ];
    if !rehearsal.changed_meanwhile.is_empty() {
        let count = rehearsal.changed_meanwhile.len();
        lines.push(format!("written meanwhile by what runs, and not by the upgrade: {count} files"));
    }
    for finding in &rehearsal.findings {
        lines.push(format!("{}: {} ({})", finding.level.name(), finding.text, finding.remedy));
    }
    lines.join("\n")
}
