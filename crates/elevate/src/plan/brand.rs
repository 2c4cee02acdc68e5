//! The packages that say which distribution a system is. A system that moves to another one of the same family gets those of
//! the other: what stays of the old would say that it is both.

use anima_solver::Pool;

use super::{Wishes, fate::name_of};
use crate::{Error, Result, facts::Facts};

/// What such packages provide, whatever they are called: release files, repositories, logos, backgrounds.
const CAPABILITIES: [&str; 5] =
    ["redhat-release", "system-backgrounds", "system-logos", "system-release", "system-repos"];

/// Returns the wishes, and besides that packages which the target does not have go where one of the target's provides the same.
pub fn with_target(wishes: &Wishes, facts: &Facts, pool: &mut Pool) -> Result<Wishes> {
    let mut wishes = wishes.clone();
    for capability in CAPABILITIES {
        let is_of_brand = |provided: &String| provided.split(' ').next() == Some(capability);
        let mut ours = facts.packages.iter().filter(|package| package.provides.iter().any(is_of_brand)).peekable();
        if ours.peek().is_none() {
            continue;
        }
        // The pool has only the target's packages yet.
        let theirs = pool.what_provides(capability).map_err(Error::Repositories)?;
        let Some(successor) = theirs.first().map(|nevra| name_of(nevra).to_string()) else { continue };
        for package in ours {
            let has_own = theirs.iter().any(|nevra| name_of(nevra) == package.name);
            if !has_own && !wishes.keep.contains(&package.name) {
                wishes.remove.insert(package.name.clone());
                wishes.install.insert(successor.clone());
            }
        }
    }
    Ok(wishes)
}
