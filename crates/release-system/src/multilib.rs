//! 32-bit packages in 64-bit repositories: those that the last release or the reference has there, and of new ones the
//! libraries and what is needed to build with them.
//!
//! What nobody has there stays away: a whole 32-bit distribution in a 64-bit repository is what users least want.

use anima_types::{
    Arch,
    release::{PlanEntry, Trust},
    repository::Kind,
    work::PlanPackage,
};

use crate::plan::{Product, base_name, kind};

/// The 32-bit architecture, and the one whose machines run its packages beside their own.
const FOREIGN: Arch = Arch::I686;
const NATIVE: Arch = Arch::X86_64;

/// Returns whether a package is 32-bit, and the product has no repositories for that.
pub(crate) fn is_foreign(product: &Product<'_>, package: &PlanPackage) -> bool {
    is_32_bit(package) && product.of(Kind::Binary, FOREIGN.name()).next().is_none()
}

fn is_32_bit(package: &PlanPackage) -> bool {
    package.package.nevra.arch == FOREIGN.name()
}

/// Returns where a 32-bit package goes, or why nowhere.
pub(crate) fn place(
    product: &Product<'_>,
    package: &PlanPackage,
    placed: &[PlanEntry],
) -> Result<Vec<PlanEntry>, String> {
    if kind(&package.package.nevra) == Kind::Debug {
        return debug(product, package, placed);
    }
    let entries = beside(product, package);
    if !entries.is_empty() {
        return Ok(entries);
    }
    let (name, native) = (&package.package.nevra.name, NATIVE.name());
    match product.of(Kind::Binary, native).any(|each| product.has(each, name, native)) {
        true => Err(format!("{native} has it, and never had its {FOREIGN} form")),
        false => Err(format!("nothing says that users of {native} need its {FOREIGN} form")),
    }
}

/// Returns the 64-bit repositories that a 32-bit package goes to, beside those of its own architecture.
pub(crate) fn beside(product: &Product<'_>, package: &PlanPackage) -> Vec<PlanEntry> {
    if !is_32_bit(package) {
        return Vec::new();
    }
    let (nevra, source) = (&package.package.nevra, &package.package.source);
    let repositories: Vec<_> = product.of(Kind::Binary, NATIVE.name()).collect();
    for each in &repositories {
        if !product.has(each, &nevra.name, FOREIGN.name()) {
            continue;
        }
        if let Some((seen, is_reference)) = product.look(each, nevra, source) {
            let whose =
                if is_reference { "in the reference".to_string() } else { format!("@{}", each.repository.current) };
            let reason = format!("{} is there {whose}, as {FOREIGN} for {NATIVE}", seen.words());
            return vec![product.entry(package, each, seen.trust(), reason)];
        }
    }
    let is_new = !repositories.iter().any(|each| product.has(each, &nevra.name, NATIVE.name()));
    if !is_new || !is_library(&nevra.name) {
        return Vec::new();
    }
    // Beside what else of its source is there as 32-bit.
    let twin = repositories.iter().find(|each| product.look(each, nevra, source).is_some());
    let entry = |each| {
        let reason = format!("a library of a source that is there: its {FOREIGN} form is for {NATIVE}, too");
        product.entry(package, each, Trust::ByRule, reason)
    };
    twin.map(|each| entry(each)).into_iter().collect()
}

/// Debug packages go where what they debug went.
fn debug(product: &Product<'_>, package: &PlanPackage, placed: &[PlanEntry]) -> Result<Vec<PlanEntry>, String> {
    let nevra = &package.package.nevra;
    let of_its = |entry: &&PlanEntry| {
        // debugsource is for all packages of its source.
        let is_its = match nevra.name.strip_suffix("-debuginfo") {
            Some(name) => name == entry.nevra.name,
            None => product.source_of(&entry.nevra) == Some(package.package.source.as_str()),
        };
        is_its && entry.nevra.arch == nevra.arch
    };
    let goes = placed.iter().filter(|entry| kind(&entry.nevra) == Kind::Binary).any(|entry| of_its(&entry));
    let repository = product.of(Kind::Debug, NATIVE.name()).next().filter(|_| goes);
    match repository {
        Some(each) => {
            let reason = format!("what it debugs goes to {NATIVE}, to {}", base_name(&each.repository));
            Ok(vec![product.entry(package, each, Trust::ByRule, reason)])
        }
        None => Err(format!("what it debugs is not for users of {NATIVE}")),
    }
}

/// Returns whether a package is a library, or what is needed to build with one, by the names that distributions give them.
fn is_library(name: &str) -> bool {
    name.ends_with("-devel") || name.ends_with("-libs") || name.starts_with("lib")
}
